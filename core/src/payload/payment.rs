//! Codes that ask for money. The account or address is not kept; amount and recipient are, because they are what the
//! payer must compare. The code's author chose both.

use super::safe_text::SafeText;
use super::uri::{parameter, strip_prefix_ignore_case};

/// Characters of a recipient's name that are shown.
const PAYEE_CHARS: usize = 40;
/// Characters of an amount with its currency that are shown.
const AMOUNT_CHARS: usize = 24;
/// Fields read from an EMV code; the standard defines fewer than a hundred.
const MAX_EMV_FIELDS: usize = 100;

/// A request to pay.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Payment {
    /// Stable name of the payment system for JSON, such as `bitcoin` or `sepa`.
    pub system: &'static str,
    /// Its name for people.
    pub system_name: &'static str,
    /// What is asked for, with the currency where the code names one.
    pub amount: Option<SafeText>,
    /// Who is paid, in the words of the code's author.
    pub payee: Option<SafeText>,
}

impl Payment {
    pub(super) fn new(
        system: &'static str,
        system_name: &'static str,
        amount: Option<&str>,
        payee: Option<&str>,
    ) -> Self {
        let text =
            |value: Option<&str>, chars| value.map(|value| SafeText::new(value, chars)).filter(|text| !text.is_empty());
        Self { system, system_name, amount: text(amount, AMOUNT_CHARS), payee: text(payee, PAYEE_CHARS) }
    }
}

/// Schemes of payment addresses: scheme, key, name.
const SCHEMES: &[(&str, &str, &str)] = &[
    ("bitcoin", "bitcoin", "Bitcoin"),
    ("lightning", "lightning", "Bitcoin Lightning"),
    ("lnurlp", "lightning", "Bitcoin Lightning"),
    ("ethereum", "ethereum", "Ethereum"),
    ("bitcoincash", "bitcoin_cash", "Bitcoin Cash"),
    ("litecoin", "litecoin", "Litecoin"),
    ("dogecoin", "dogecoin", "Dogecoin"),
    ("dash", "dash", "Dash"),
    ("zcash", "zcash", "Zcash"),
    ("monero", "monero", "Monero"),
    ("solana", "solana", "Solana"),
    ("tron", "tron", "Tron"),
    ("cardano", "cardano", "Cardano"),
    ("web+cardano", "cardano", "Cardano"),
    ("web+stellar", "stellar", "Stellar"),
    ("upi", "upi", "UPI"),
    ("payto", "payto", "a bank transfer"),
    ("wxp", "wechat_pay", "WeChat Pay"),
    ("alipays", "alipay", "Alipay"),
    ("alipay", "alipay", "Alipay"),
    ("venmo", "venmo", "Venmo"),
    ("swish", "swish", "Swish"),
];

/// Recognises payment addresses by their scheme. `rest` is what follows `scheme:`.
pub(super) fn from_scheme(scheme: &str, rest: &str) -> Option<Payment> {
    let &(_, system, name) = SCHEMES.iter().find(|(known, ..)| scheme.eq_ignore_ascii_case(known))?;
    let query = rest.split_once('?').map_or("", |(_, query)| query);
    let amount = ["amount", "am", "tx_amount"].iter().find_map(|key| parameter(query, key));
    let payee = ["pn", "receiver-name", "label", "recipient_name"].iter().find_map(|key| parameter(query, key));
    let currency = match system {
        "bitcoin" => Some("BTC".into()),
        _ => parameter(query, "cu"),
    };
    let amount =
        amount.map(|amount| currency.map_or_else(|| amount.to_string(), |currency| format!("{amount} {currency}")));
    Some(Payment::new(system, name, amount.as_deref(), payee.as_deref()))
}

/// Recognises the payment codes that are not addresses.
pub(super) fn from_text(text: &str) -> Option<Payment> {
    from_lightning(text)
        .or_else(|| from_sepa(text))
        .or_else(|| from_swiss(text))
        .or_else(|| from_czech(text))
        .or_else(|| from_emv(text))
}

/// A bare Lightning invoice or LNURL, which wallets show without a scheme.
fn from_lightning(text: &str) -> Option<Payment> {
    let starts = ["lnbc", "lntb", "lnurl1"].iter().any(|prefix| strip_prefix_ignore_case(text, prefix).is_some());
    let is_word = text.len() >= 50 && text.bytes().all(|b| b.is_ascii_alphanumeric());
    (starts && is_word).then(|| Payment::new("lightning", "Bitcoin Lightning", None, None))
}

/// EPC069-12, the European credit transfer ("GiroCode"): lines BCD, version, character set, SCT, BIC, name, IBAN, amount.
fn from_sepa(text: &str) -> Option<Payment> {
    let mut lines = text.lines().map(str::trim);
    let is_epc = lines.next()? == "BCD" && matches!(lines.next()?, "001" | "002");
    if !is_epc {
        return None;
    }
    let payee = lines.nth(3);
    let amount = lines.nth(1);
    let amount = amount.map(|amount| {
        strip_prefix_ignore_case(amount, "EUR").map_or_else(|| amount.to_owned(), |n| format!("{n} EUR"))
    });
    Some(Payment::new("sepa", "a SEPA transfer", amount.filter(|a| a != " EUR").as_deref(), payee))
}

/// Swiss QR-bill: the name is in line 6, amount and currency in lines 19 and 20.
fn from_swiss(text: &str) -> Option<Payment> {
    let mut lines = text.lines().map(str::trim);
    let is_swiss = lines.next()? == "SPC" && lines.next()?.starts_with("02");
    if !is_swiss {
        return None;
    }
    let payee = lines.nth(3);
    let amount = lines.nth(12).filter(|amount| !amount.is_empty());
    let currency = lines.next().unwrap_or_default();
    Some(Payment::new("swiss_qr_bill", "a Swiss QR-bill", amount.map(|a| format!("{a} {currency}")).as_deref(), payee))
}

/// Short Payment Descriptor of Czech and Slovak banks: `SPD*1.0*ACC:..*AM:450.00*CC:CZK*RN:name`.
fn from_czech(text: &str) -> Option<Payment> {
    let body = strip_prefix_ignore_case(text, "SPD*")?;
    let field = |key: &str| body.split('*').take(40).find_map(|part| strip_prefix_ignore_case(part, key));
    let amount = field("AM:").map(|amount| format!("{amount} {}", field("CC:").unwrap_or_default()));
    Some(Payment::new("spayd", "a bank transfer", amount.as_deref(), field("RN:")))
}

/// EMVCo merchant-presented code (PIX, PayNow, PromptPay, QRIS...): fields of two digits id, two digits length, value.
fn from_emv(text: &str) -> Option<Payment> {
    let mut rest = text.starts_with("000201").then_some(text)?;
    let (mut amount, mut currency, mut payee, mut has_checksum) = (None, "", None, false);
    for _ in 0..MAX_EMV_FIELDS {
        let Some((id, after)) = rest.split_at_checked(2) else { break };
        let (length, after) = after.split_at_checked(2)?;
        let length: usize = length.parse().ok()?;
        // The length counts characters, not bytes.
        let end = after.char_indices().nth(length).map_or(after.len(), |(at, _)| at);
        let (value, after) = after.split_at_checked(end)?;
        match id {
            "53" => currency = currency_name(value),
            "54" => amount = Some(value),
            "59" => payee = Some(value),
            "63" => has_checksum = true,
            _ => {}
        }
        rest = after;
    }
    let amount = amount.map(|amount| format!("{amount} {currency}"));
    has_checksum.then(|| Payment::new("emv", "a merchant payment", amount.as_deref(), payee))
}

/// ISO 4217 numbers of the places where such codes are common.
fn currency_name(number: &str) -> &'static str {
    match number {
        "986" => "BRL",
        "356" => "INR",
        "702" => "SGD",
        "764" => "THB",
        "360" => "IDR",
        "458" => "MYR",
        "704" => "VND",
        "608" => "PHP",
        "156" => "CNY",
        "344" => "HKD",
        "840" => "USD",
        "978" => "EUR",
        _ => "",
    }
}
