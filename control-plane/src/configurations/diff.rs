//! The difference of two texts, line by line, in the form that people know from version control. Pure.

use std::fmt::Write as _;

/// Lines of context around a change.
const CONTEXT: usize = 3;
/// Beyond so many comparisons, what differs is shown as one block.
const MOST: usize = 4_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line<'a> {
    Same(&'a str),
    Gone(&'a str),
    New(&'a str),
}

/// The difference; empty when the texts are the same.
pub fn lines(old: &str, new: &str) -> String {
    if old == new {
        return String::new();
    }
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let all = compare(&old, &new);
    let mut near = vec![false; all.len()];
    for (at, line) in all.iter().enumerate() {
        if !matches!(line, Line::Same(_)) {
            near[at.saturating_sub(CONTEXT)..(at + CONTEXT + 1).min(all.len())].fill(true);
        }
    }
    show(&all, &near)
}

fn show(all: &[Line<'_>], near: &[bool]) -> String {
    let mut text = String::new();
    let (mut from, mut to) = (1, 1);
    let mut shown = false;
    for (line, near) in all.iter().zip(near) {
        if *near && !shown {
            // Writing to a string does not fail.
            let _infallible = writeln!(text, "@@ -{from} +{to} @@");
        }
        shown = *near;
        let (sign, words) = match line {
            Line::Same(words) => (' ', words),
            Line::Gone(words) => ('-', words),
            Line::New(words) => ('+', words),
        };
        from += usize::from(sign != '+');
        to += usize::from(sign != '-');
        if *near {
            let _infallible = writeln!(text, "{sign}{words}");
        }
    }
    text
}

fn compare<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<Line<'a>> {
    let start = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let end = old[start..].iter().rev().zip(new[start..].iter().rev()).take_while(|(a, b)| a == b).count();
    let (a, b) = (&old[start..old.len() - end], &new[start..new.len() - end]);
    let mut all: Vec<Line<'a>> = old[..start].iter().map(|line| Line::Same(line)).collect();
    if a.len().saturating_mul(b.len()) > MOST {
        all.extend(a.iter().map(|line| Line::Gone(line)));
        all.extend(b.iter().map(|line| Line::New(line)));
    } else {
        middle(a, b, &mut all);
    }
    all.extend(old[old.len() - end..].iter().map(|line| Line::Same(line)));
    all
}

/// By the longest common subsequence.
fn middle<'a>(a: &[&'a str], b: &[&'a str], all: &mut Vec<Line<'a>>) {
    let width = b.len() + 1;
    let mut longest = vec![0_u32; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            longest[i * width + j] = if a[i] == b[j] {
                longest[(i + 1) * width + j + 1] + 1
            } else {
                longest[(i + 1) * width + j].max(longest[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            all.push(Line::Same(a[i]));
            (i, j) = (i + 1, j + 1);
        } else if i < a.len() && (j == b.len() || longest[(i + 1) * width + j] >= longest[i * width + j + 1])
        {
            all.push(Line::Gone(a[i]));
            i += 1;
        } else {
            all.push(Line::New(b[j]));
            j += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_change_is_shown_with_its_surroundings_only() {
        let old = "a\nb\nc\nd\ne\nf\ng\nh\n";
        let new = "a\nb\nc\nd\nE\nf\ng\nh\n";
        assert_eq!(lines(old, new), "@@ -2 +2 @@\n b\n c\n d\n-e\n+E\n f\n g\n h\n");
        assert_eq!(lines(old, old), "");
        assert_eq!(lines("", "x\n"), "@@ -1 +1 @@\n+x\n");
    }

    proptest! {
        #[test]
        fn both_texts_can_be_read_from_it(old in "([abc]\n){0,12}", new in "([abc]\n){0,12}") {
            let (a, b): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
            let all = compare(&a, &b);
            let side = |skip: fn(&Line<'_>) -> bool| -> Vec<&str> {
                all.iter().filter(|line| !skip(line)).map(|line| match line {
                    Line::Same(words) | Line::Gone(words) | Line::New(words) => *words,
                }).collect()
            };
            prop_assert_eq!(side(|line| matches!(line, Line::New(_))), a);
            prop_assert_eq!(side(|line| matches!(line, Line::Gone(_))), b);
        }
    }
}
