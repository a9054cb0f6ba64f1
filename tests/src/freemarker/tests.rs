//! Behaviour of the interpreter, with outputs derived by hand from the rules of the FreeMarker manual.

use super::*;
use proptest::prelude::*;

/// The template that yields JSON lines, as the vendor sheet (section 7.4) gives it.
const JSON_LINES: &str = include_str!("fixtures/json_lines.ftl");
const MARK: &str = "<#list reports as report>${report.reportID}<#sep>,</#sep></#list>";

fn data<const N: usize>(members: [(&str, Value<'static>); N]) -> Rc<dyn Hash<'static>> {
    let Value::Hash(hash) = Value::hash(members) else { unreachable!() };
    hash
}

fn model() -> Rc<dyn Hash<'static>> {
    let nothing = Value::hash([]);
    data([
        ("s", Value::text("a\"b")),
        ("empty", Value::text("")),
        ("n", Value::integer(1_234_567)),
        ("yes", Value::Bool(true)),
        ("list", Value::list(vec![Value::text("x"), Value::text("y"), Value::text("z")])),
        ("none", Value::list(vec![])),
        ("h", Value::hash([("k", Value::text("v")), ("inner", nothing)])),
    ])
}

fn render(template: &str) -> Result<String, Error> {
    Template::parse(template)?.render(model(), &Settings::default(), Limits::default())
}

fn ok(template: &str) -> String {
    render(template).unwrap_or_else(|e| panic!("{template}: {e}"))
}

fn report(id: &'static str, expenses: Vec<Value<'static>>) -> Value<'static> {
    Value::hash([
        ("reportID", Value::text(id)),
        ("reportName", Value::text("Trip \"North\"\nweek 2")),
        ("total", Value::integer(-12_345)),
        ("currency", Value::text("USD")),
        ("approved", Value::text("2026-11-03 10:00:00")),
        ("submitterUserID", Value::text("")),
        ("transactionList", Value::list(expenses)),
    ])
}

fn expense() -> Value<'static> {
    Value::hash([
        ("transactionID", Value::text("4056343049275634494")),
        ("merchant", Value::text("C:\\temp </b>")),
        ("modifiedMerchant", Value::text("")),
        ("amount", Value::integer(1_000_000)),
        ("convertedAmount", Value::text("")),
        ("reimbursable", Value::Bool(false)),
        ("receiptObject", Value::hash([("url", Value::text("https://example.test/r"))])),
    ])
}

#[test]
fn json_lines_template_prints_every_report_expense_and_count() {
    let reports = Value::list(vec![report("R00a", vec![expense()]), report("R00A", vec![])]);
    let template = Template::parse(JSON_LINES).unwrap();
    let data = data([("reports", reports), ("addHeader", Value::Bool(true))]);
    let text = template.render(data, &Settings::default(), Limits::default()).unwrap();
    let head = |id: &str| {
        format!(
            r#"{{"k":"R","reportID":"{id}","reportName":"Trip \"North\"\nweek 2","status":null,"policyID":null,"accountEmail":null,"submitterUserID":null,"managerEmail":null,"currency":"USD","total":-12345,"submitted":null,"approved":"2026-11-03 10:00:00","reimbursed":null}}"#
        )
    };
    let expense = r#"{"k":"E","reportID":"R00a","transactionID":"4056343049275634494","merchant":"C:\\temp <\/b>","modifiedMerchant":null,"created":null,"modifiedCreated":null,"currency":null,"amount":1000000,"modifiedAmount":null,"convertedAmount":null,"category":null,"categoryGlCode":null,"tag":null,"tagGlCode":null,"ntag1":null,"ntag1GlCode":null,"ntag2":null,"ntag2GlCode":null,"comment":null,"reimbursable":false,"billable":null,"bank":null,"receiptURL":"https://example.test/r"}"#;
    // The line break after the last macro stays: it is followed by a directive that can print.
    let expected = format!(
        "\n{{\"k\":\"B\",\"v\":1}}\n{}\n{expense}\n{{\"k\":\"Z\",\"reportID\":\"R00a\",\"expenses\":1}}\n{}\n{{\"k\":\"Z\",\"reportID\":\"R00A\",\"expenses\":0}}\n{{\"k\":\"F\"}}\n",
        head("R00a"),
        head("R00A")
    );
    assert_eq!(text, expected);
}

#[test]
fn mark_template_lists_the_ids() {
    let template = Template::parse(MARK).unwrap();
    let run = |reports| {
        let data = data([("reports", Value::list(reports))]);
        template.render(data, &Settings::default(), Limits::default()).unwrap()
    };
    assert_eq!(run(vec![report("R1", vec![]), report("R2", vec![])]), "R1,R2");
    assert_eq!(run(vec![]), "");
}

#[test]
fn expressions_follow_the_manual() {
    for (template, expected) in [
        ("${1 + 2 * 3}", "7"),
        ("${(1 + 2) * 3 - -1}", "10"),
        ("${7 / 2}", "3.5"),
        ("${(1/3)?c}", "0.333333333333"),
        ("${1/3}", "0.333"),
        ("${7 % 3}", "1"),
        ("${n}", "1234567"),
        ("${n?c}", "1234567"),
        ("${n?string(',##0.00')}", "1,234,567.00"),
        ("${0.1 + 0.2}", "0.3"),
        ("${(12345/100)?string('0.00')}", "123.45"),
        ("${'a' + 1 + \"b\"}", "a1b"),
        ("${'x${n}y'}", "x1234567y"),
        (r"${r'\n${n}'}", r"\n${n}"),
        (r"${'\x41\x20\n'}", "A \n"),
        ("${list[1]}${h.k}${h['k']}", "yvv"),
        ("${list?size}${list?join('-')}${list?first}${list?last}", "3x-y-zxz"),
        ("${yes?c}${yes?string('J','N')}${yes?then(1, 2)}", "trueJ1"),
        ("[${yes}]", "[]"),
        ("${s?json_string}${s?html}${s?length}", "a\\\"ba&quot;b3"),
        ("${'it\\'s'?js_string} ${'</a>'?json_string} ${']]>'?json_string}", "it\\'s <\\/a> ]]\\u003E"),
        ("${'\\x0001'?json_string}", "\\u0001"),
        ("${' a '?trim?upper_case}${'A'?lower_case}", "Aa"),
        ("${'abc'?contains('b')?c}${'abc'?starts_with('b')?c}", "truefalse"),
        ("${'a,b'?split(',')?size}${'a.b'?replace('.', '\\\\:')}", "2a\\:b"),
        ("${'2026-11-03 10:00:00'?date('yyyy-MM-dd')?string('dd/MM/yy')}", "03/11/26"),
        ("${'12.50'?number * 2}", "25"),
        ("${missing!}|${missing!'d'}|${(h.a.b)!'e'}|${h.a!'f'}", "|d|e|f"),
        ("${missing!1 + 1}|${(missing!1) + 1}", "2|2"),
        ("${(n!1) + 1} ${n!1 + 1}", "1234568 1234567"),
        ("<#if 1 < 2 && (2 > 1) && 2 gte 2 || false>t</#if>", "t"),
        ("<#if s == 'x'>1<#elseif !(n != 1234567)>2<#else>3</#if>", "2"),
        ("<#list 1..3 as i>${i}</#list><#list 3..<1 as i>${i}</#list>", "12332"),
        ("<#list list as i>${i?index}${i_index}${i}<#if i_has_next>,</#if></#list>", "00x,11y,22z"),
        ("<#list none as i>a<#else>b</#list>", "b"),
        ("<#list list as i>${i}<#sep>, </#list>", "x, y, z"),
        ("<#list list as i><#if i == 'y'><#break></#if>${i}</#list>", "x"),
        ("<#assign a = 1><#assign a += 2>${a}<#assign b>t${a}</#assign>${b}", "3t3"),
        ("<#function f x y=2><#return x + y></#function>${f(1)}${f(1, 5)}", "36"),
        ("<@m/><#macro m>early</#macro>", "early"),
        ("<#macro m a b='z'>${a}${b}[<#nested>]</#macro><@m a='1'>in${n}</@m>", "1z[in1234567]"),
        ("a<#-- ${broken -->b<#noparse>${x}</#noparse>", "ab${x}"),
        ("${empty?has_content?c}${missing?has_content?c}${none?has_content?c}", "falsefalsefalse"),
        ("${n?is_number?c}${s?is_string?c}${yes?is_boolean?c}", "truetruetrue"),
        ("$ # < { $$ <b> </b> <#", "$ # < { $$ <b> </b> <#"),
    ] {
        assert_eq!(ok(template), expected, "{template}");
    }
}

#[test]
fn exists_tells_missing_from_present() {
    assert_eq!(ok("${(missing??)?c}${((h.a.b)??)?c}${(h.k??)?c}"), "falsefalsetrue");
}

#[test]
fn lines_with_directives_only_leave_nothing_behind() {
    for (template, expected) in [
        ("a\n<#if yes>\n  b\n</#if>\nc", "a\n  b\nc"),
        ("${1}a\n  <#list list as i>  \n${i}\n  </#list>\nc", "1a\nx\ny\nz\nc"),
        // The very first text of a template keeps its last line.
        ("a\n  <#if yes>\nb</#if>", "a\n  b"),
        ("a\n<#-- note -->\nb", "a\nb"),
        ("a\n<#if yes>x</#if>\nb", "a\nx\nb"),
        ("a\n  ${s}\nb", "a\n  a\"b\nb"),
        ("<#assign a = 1>\n\n<#assign b = 2>\nx", "x"),
        ("a <#t>\n  b", "a   b"),
        ("  a<#lt>\nb", "a\nb"),
        ("a  <#rt>\nb", "a  b"),
        ("a\n <#if yes><#nt>\n</#if>b", "a\n \nb"),
        ("x\r\n<#if yes>\r\ny\r\n</#if>\r\n", "x\r\ny\r\n"),
    ] {
        assert_eq!(ok(template), expected, "{template:?}");
    }
}

#[test]
fn a_missing_variable_is_named_with_its_place() {
    let error = render("one\n${h.nothing}").unwrap_err();
    assert_eq!(
        error.to_string(),
        "The following has evaluated to null or missing:\n==> h.nothing  [in template \"template\" at line 2, column 3]"
    );
    assert!(matches!(render("${h.a.b!'no'}").unwrap_err(), Error::Missing { .. }));
}

#[test]
fn wrong_types_and_unknown_names_are_errors() {
    for (template, words) in [
        ("<#if s>x</#if>", "Expected a boolean"),
        ("<#list s as x></#list>", "Expected a sequence"),
        ("${1 + list}", "Expected a number"),
        ("${s?c}", "Expected a number or boolean"),
        ("${list}", "Expected a string"),
        ("${s?nonsense}", "Unknown built-in"),
        ("<#nonsense x>", "Unknown directive: #nonsense"),
        ("<#if yes>", "not closed"),
        ("</#if>", "Unexpected end tag"),
        ("<@nowhere/>", "null or missing"),
        ("<#macro m a></#macro><@m/>", "required parameter \"a\""),
        ("${'abc'?number}", "Can't convert this string to number"),
        ("${1/0}", "Arithmetic operation failed"),
        ("<#if 'a' lt 'b'>x</#if>", "Can't compare"),
        ("${x", "unclosed interpolation"),
        ("<#stop 'why'>", "why"),
    ] {
        let error = render(template).expect_err(template).to_string();
        assert!(error.contains(words), "{template}: {error}");
    }
}

#[test]
fn numbers_can_be_grouped_and_booleans_strict() {
    let settings = Settings { grouped_numbers: true, strict_booleans: true };
    let run =
        |template: &str| Template::parse(template).unwrap().render(model(), &settings, Limits::default());
    assert_eq!(run("${n} ${n?c}").unwrap(), "1,234,567 1234567");
    assert!(run("${yes}").is_err());
}

#[test]
fn hostile_templates_end_with_an_error() {
    let nested = format!("{}1{}", "(".repeat(5_000), ")".repeat(5_000));
    let defaults = format!("${{{}}}", "a!(".repeat(2_000));
    let chain = format!("${{{}1}}", "1+".repeat(100_000));
    let directives = "<#if yes>".repeat(5_000);
    for template in [
        "<#macro m><@m/></#macro><@m/>",
        "<#function f><#return f()></#function>${f()}",
        "<#list 1..2000000000 as i></#list>",
        "<#list 1.. as i>x</#list>",
        "<#assign x='ab'><#list 1..100 as i><#assign x = x + x></#list>",
        "${'a'?left_pad(2000000000)}",
        "${(1..2000000000)?join(',')}",
        "<#assign x='aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'><#list 1..9 as i><#assign x = x?replace('a', x)></#list>",
        &format!("${{{nested}}}"),
        &defaults,
        &chain,
        &directives,
    ] {
        assert!(render(template).is_err(), "{}", &template[..template.len().min(60)]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_makes_the_interpreter_panic(text in "\\PC{0,80}") {
        let _ = render(&text);
    }

    #[test]
    fn no_mixture_of_template_pieces_makes_the_interpreter_panic(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "<#if ", "<#list ", "list", " as ", "i", ">", "</#if>", "</#list>", "<#else>", "<#elseif yes>", "<#sep>",
            "</#sep>", "${", "}", "n", "s", "h.k", "!", "??", "?c", "?string(", ")", "(", "\"", "'", "\\", "<@m ", "/>",
            "<#macro m a>", "</#macro>", "<#nested>", "<#return ", "\n", "  ", "é", "1", "..", "<", "&&", "=", "?join(',')",
            "<#assign x=", "<#t>", "<#rt>", "<#lt>", "<#--", "-->", "</@m>", "{", "[", "]", "?substring(1,", ",", "?index",
        ]), 0..40)
    ) {
        let limits = Limits { steps: 20_000, ..Limits::default() };
        if let Ok(template) = Template::parse(&pieces.concat()) {
            let _ = template.render(model(), &Settings::default(), limits);
        }
    }

    #[test]
    fn json_string_is_read_back_by_a_json_parser(text in "\\PC{0,40}|[\\x00-\\x7f]{0,40}") {
        let literal = format!("\"{}\"", format::script(&text, true));
        let back: String = serde_json::from_str(&literal).unwrap();
        prop_assert_eq!(back, text);
    }

    #[test]
    fn whole_numbers_survive_printing(value in any::<i64>()) {
        prop_assert_eq!(Decimal::parse(&Decimal::from(value).to_string()), Some(Decimal::from(value)));
    }
}
