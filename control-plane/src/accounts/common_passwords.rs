//! The passwords that are tried first. Lists of leaked ones consist of few words with few habits: a capital, digits or a
//! sign at the end, `0` for `o`, a year, a row of the keyboard. So the habits are undone, and what remains is looked up.

/// Whether somebody who guesses would try it early.
pub(super) fn is_common(password: &str) -> bool {
    let lower = password.to_lowercase();
    is_monotonous(&lower) || is_walk(&lower) || readings(&lower).iter().any(|reading| is_of_words(reading))
}

/// The text with its habits undone, in more than one way because `1` stands for `i` and for `l`.
fn readings(lower: &str) -> Vec<String> {
    let plain = without_trimmings(lower);
    let mut readings = vec![plain.to_owned(), lower.to_owned()];
    for one in ['i', 'l'] {
        let spelled: String = lower.chars().map(|c| spelled_out(c, one)).collect();
        readings.push(without_trimmings(&spelled).to_owned());
        readings.push(plain.chars().map(|c| spelled_out(c, one)).collect());
    }
    readings
}

fn without_trimmings(text: &str) -> &str {
    text.trim_matches(|c: char| !c.is_alphabetic())
}

const fn spelled_out(c: char, one: char) -> char {
    match c {
        '0' => 'o',
        '1' | '!' | '|' => one,
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' | '+' => 't',
        '8' => 'b',
        other => other,
    }
}

/// One word of the list, twice the same, or two of the list.
fn is_of_words(text: &str) -> bool {
    let known = |part: &str| WORDS.contains(&part);
    known(text)
        || text.char_indices().any(|(at, _)| {
            let (first, second) = text.split_at(at);
            let second = without_trimmings(second);
            known(without_trimmings(first)) && (second.is_empty() || known(second))
        })
}

/// At most two different characters, or a short piece again and again.
fn is_monotonous(text: &str) -> bool {
    let characters: Vec<char> = text.chars().collect();
    let mut different = characters.clone();
    different.sort_unstable();
    different.dedup();
    if different.len() <= 2 {
        return true;
    }
    (1..=4).any(|piece| {
        characters.len() >= 2 * piece && characters.iter().zip(&characters[piece..]).all(|(a, b)| a == b)
    })
}

/// Steps along the alphabet, the digits or the keyboard, forwards or backwards, possibly in two pieces.
fn is_walk(text: &str) -> bool {
    const ROWS: [&str; 10] = [
        "abcdefghijklmnopqrstuvwxyz",
        "01234567890",
        "qwertyuiop",
        "qwertzuiop",
        "azertyuiop",
        "asdfghjkl",
        "zxcvbnm",
        "yxcvbnm",
        "1q2w3e4r5t6y7u8i9o0p",
        "1qaz2wsx3edc4rfv5tgb6yhn",
    ];
    let along = |part: &str| {
        let back: String = part.chars().rev().collect();
        part.len() >= 3 && ROWS.iter().any(|row| row.contains(part) || row.contains(&back))
    };
    if along(text) {
        return true;
    }
    let pieces = text.char_indices().map(|(at, _)| text.split_at(at));
    pieces.clone().any(|(a, b)| along(a) && along(b))
        || pieces
            .into_iter()
            .any(|(a, b)| along(a) && b.char_indices().any(|(at, _)| along(&b[..at]) && along(&b[at..])))
}

/// Words at the head of every such list, and those of this trade. Digits and signs around them are undone before.
const WORDS: &[&str] = &[
    "abcabc",
    "access",
    "account",
    "accounting",
    "admin",
    "administrator",
    "airbase",
    "alexander",
    "amanda",
    "america",
    "andrea",
    "andrew",
    "angel",
    "anthony",
    "apple",
    "ashley",
    "august",
    "austin",
    "autumn",
    "baby",
    "babygirl",
    "bailey",
    "banana",
    "baseball",
    "basketball",
    "batman",
    "biteme",
    "blink",
    "boomer",
    "brandon",
    "buster",
    "butterfly",
    "carlos",
    "changeme",
    "charlie",
    "cheese",
    "chelsea",
    "chicken",
    "chocolate",
    "coffee",
    "company",
    "computer",
    "concur",
    "control",
    "cookie",
    "corvette",
    "cowboy",
    "dallas",
    "daniel",
    "december",
    "default",
    "demo",
    "dolphin",
    "donald",
    "dragon",
    "eagles",
    "epicor",
    "expensify",
    "february",
    "ferrari",
    "finance",
    "flower",
    "football",
    "forever",
    "freedom",
    "friends",
    "fuckyou",
    "gandalf",
    "george",
    "ginger",
    "golfer",
    "google",
    "guest",
    "guitar",
    "hannah",
    "harley",
    "heather",
    "hello",
    "helloworld",
    "hockey",
    "hunter",
    "hunting",
    "iceman",
    "iloveu",
    "iloveyou",
    "internet",
    "jackson",
    "january",
    "jasmine",
    "jennifer",
    "jessica",
    "jesus",
    "jordan",
    "joseph",
    "joshua",
    "july",
    "june",
    "junior",
    "justin",
    "killer",
    "knight",
    "lakers",
    "letmein",
    "liverpool",
    "login",
    "london",
    "love",
    "lovely",
    "loveme",
    "maggie",
    "magic",
    "manager",
    "march",
    "marina",
    "marlboro",
    "martin",
    "master",
    "matrix",
    "matthew",
    "maverick",
    "melissa",
    "mercedes",
    "merlin",
    "michael",
    "michelle",
    "mickey",
    "midnight",
    "monday",
    "money",
    "monkey",
    "monster",
    "morgan",
    "mustang",
    "naruto",
    "nicole",
    "ninja",
    "november",
    "october",
    "oliver",
    "orange",
    "pass",
    "passpass",
    "passphrase",
    "passwd",
    "passwort",
    "password",
    "patrick",
    "peanut",
    "pepper",
    "phoenix",
    "player",
    "please",
    "pokemon",
    "porsche",
    "princess",
    "purple",
    "purser",
    "qazwsx",
    "qwert",
    "qwerty",
    "rabbit",
    "rainbow",
    "ranger",
    "richard",
    "robert",
    "samantha",
    "scooter",
    "secret",
    "september",
    "server",
    "shadow",
    "silver",
    "slipknot",
    "snoopy",
    "soccer",
    "sommer",
    "sparky",
    "spring",
    "starwars",
    "steelers",
    "summer",
    "sunday",
    "sunshine",
    "superman",
    "support",
    "system",
    "taylor",
    "tennis",
    "test",
    "thomas",
    "thunder",
    "tigger",
    "trustno",
    "welcome",
    "whatever",
    "winter",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn habits_do_not_hide_a_common_word() {
        for common in [
            "passwords1".trim_end_matches("s1"),
            "Passw0rd!",
            "P455w0rd",
            "l3tm31n!!",
            "W31c0me2024",
            "summer2026!",
            "admin-admin",
            "welcomepassword1",
            "!!monkey!!",
            "1qaz2wsx",
            "qwerty123456",
            "abc123456",
            "abcabcabc",
            "12121212",
            "98765432",
            "00000000",
            "trustno1",
        ] {
            assert!(is_common(common), "{common}");
        }
    }

    #[test]
    fn a_sentence_is_not_common_because_a_common_word_is_in_it() {
        for own in [
            "the monkey ate my red umbrella",
            "correct horse battery staple",
            "Xk3#mmQz81",
            "zwei kleine boote",
        ] {
            assert!(!is_common(own), "{own}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_text_is_judged(text in ".{0,140}") {
            let _ = is_common(&text);
        }
    }
}
