//! Texts as people type them: mostly plain, some with everything that breaks naive programs.

const MERCHANTS: &[&str] = &[
    "Air North",
    "Corner Coffee",
    "Hotel Astoria",
    "City Taxi",
    "Office Source",
    "Parking Garage 7",
    "Fuel & Go",
    "Railway",
    "Bistro Central",
    "Cloud Host",
    "Print Shop",
    "Car Rental One",
    "Conference 2026",
    "Tool Crib",
];

const ODD_MERCHANTS: &[&str] = &[
    "O'Hara \"& Sons\"",
    "Café Zoë – Genève",
    "居酒屋 さくら",
    "Snack\tBar\u{1F354}",
    "A < B > C",
    "Back\\slash Inc.",
    "Mixed: Colon",
    "${report.total}",
    "<#if true>Deli</#if>",
    "AT&amp;T store",
    "مطعم الشام",
    "</script><b>Shop</b>",
    "The Extraordinarily Long-Winded Company for Imports, Exports, Transports, Supports and Assorted Comforts Ltd.",
];

const COMMENTS: &[&str] = &[
    "",
    "",
    "",
    "",
    "Client visit",
    "Team lunch",
    "Line one\nline two",
    "Windows line\r\nend",
    "She said \"fine\", he said 'no'",
    "tab\there",
    "emoji \u{1F469}\u{200D}\u{1F4BB} and accents é",
    "100% <b>bold</b> & more",
    "path C:\\temp\\new",
    "separator \u{2028} inside",
    "{\"k\":\"F\"}",
];

const TITLES: &[&str] = &[
    "Expense report",
    "Trip to plant",
    "Customer visit",
    "Trade fair: \"spring\"",
    "Messe & Montage",
    "Week",
];

pub(super) fn merchant(rng: &mut fastrand::Rng) -> &'static str {
    let odd = rng.u8(..100) < 12;
    if odd {
        ODD_MERCHANTS[rng.usize(..ODD_MERCHANTS.len())]
    } else {
        MERCHANTS[rng.usize(..MERCHANTS.len())]
    }
}

pub(super) fn comment(rng: &mut fastrand::Rng) -> String {
    if rng.u16(..1000) == 0 {
        return "A long story. ".repeat(200);
    }
    COMMENTS[rng.usize(..COMMENTS.len())].to_owned()
}

pub(super) fn title(rng: &mut fastrand::Rng, week: u32) -> String {
    format!("{} {week}", TITLES[rng.usize(..TITLES.len())])
}
