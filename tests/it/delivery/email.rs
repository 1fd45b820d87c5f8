//! Mails through a server that misbehaves: one when an incident opens and one when it is over, to everybody who can get one.

use super::{
    mail_server::{Does, Mail, MailServer},
    steps::{message, step},
};
use std::time::Duration;
use valera_pipeline::alerts::{
    Phase,
    delivery::{
        channel::{Channel, Message, Shown, Undelivered},
        email::{Email, Relay, Settings},
        pace::Pauses,
    },
};

pub(super) const ANNA: &str = "anna@example.org";
const BORIS: &str = "boris@example.org";
const NONE: Pauses = Pauses { first: Duration::ZERO, longest: Duration::ZERO };

pub(super) fn to(server: &MailServer, recipients: &str) -> Settings {
    let relay = Relay::parse(&format!("smtp://127.0.0.1:{}", server.port), None).unwrap();
    let relay = relay.attempting_within(Duration::from_millis(700));
    let mut settings = Settings::new(relay, "Валера <alerts@example.com>", recipients).unwrap();
    settings.pauses = NONE;
    settings
}

fn to_both(server: &MailServer) -> Email {
    Email::new(to(server, "Anna <anna@example.org>, boris@example.org, anna@example.org"))
}

fn opened() -> Message {
    message(step(1, Phase::Firing, 1))
}

fn ids(mails: &[Mail]) -> Vec<String> {
    mails.iter().map(|mail| mail.header("Message-ID")).collect()
}

#[tokio::test]
async fn an_incident_is_a_mail_and_its_resolution_answers_it() {
    let server = MailServer::start().await;
    let mut email = to_both(&server);
    let shown = email.show(&opened(), None).await.unwrap();
    for revision in 2..5 {
        email.show(&message(step(1, Phase::Updated, revision)), Some(&shown)).await.unwrap();
    }
    email.show(&message(step(1, Phase::Resolved, 5)), Some(&shown)).await.unwrap();
    for address in [ANNA, BORIS] {
        let mails = server.mails_to(address);
        let [opened, resolved] = mails.as_slice() else { panic!("{address} got {} mails", mails.len()) };
        assert_eq!(opened.header("Subject"), "error: firing");
        assert!(opened.header("To").contains(address) && !opened.lines.concat().contains(other(address)));
        assert_eq!(opened.header("Auto-Submitted"), "auto-generated");
        assert!(opened.headers("In-Reply-To").is_empty());
        assert_eq!(resolved.header("In-Reply-To"), opened.header("Message-ID"));
        assert_eq!(resolved.header("References"), opened.header("Message-ID"));
        assert_ne!(resolved.header("Message-ID"), opened.header("Message-ID"));
        assert!(opened.header("Message-ID").ends_with("@example.com>"));
    }
    assert_eq!(server.connections(), 2);
}

fn other(address: &str) -> &'static str {
    if address == ANNA { BORIS } else { ANNA }
}

#[tokio::test]
async fn an_incident_that_was_never_told_opens_with_whatever_step_comes_first() {
    let server = MailServer::start().await;
    let mut email = to_both(&server);
    email.show(&message(step(1, Phase::Updated, 7)), None).await.unwrap();
    assert_eq!(server.mails_to(ANNA).len(), 1);
    // Killed before it was noted that it was shown: the same incident again, recognisably.
    let mut again = to_both(&server);
    again.show(&message(step(1, Phase::Updated, 8)), None).await.unwrap();
    let ids = ids(&server.mails_to(ANNA));
    assert_eq!(ids[0], ids[1]);
    let other = message(step(2, Phase::Firing, 1));
    email.show(&other, Some(&Shown::default())).await.unwrap();
    email.show(&other, None).await.unwrap();
    let mails = server.mails_to(ANNA);
    assert_eq!(mails.len(), 3);
    assert_ne!(mails[2].header("Message-ID"), ids[0]);
}

#[tokio::test]
async fn a_refused_recipient_keeps_no_other_from_his_mail() {
    let server = MailServer::start().await;
    server.will(9, "RCPT TO:<anna@", Does::Says("550 no anna@example.org here"));
    server.will(1, "RSET", Does::CutsTheLine);
    let mut email = to_both(&server);
    email.show(&opened(), None).await.unwrap();
    assert_eq!((server.mails_to(ANNA).len(), server.mails_to(BORIS).len()), (0, 1));
    let mut email = Email::new(to(&server, ANNA));
    let told = email.show(&opened(), None).await;
    let Err(Undelivered::Refused(cause)) = told else { panic!("{told:?}") };
    assert!(cause.contains("recipient 1 of 1") && cause.contains("550") && !cause.contains("anna"), "{cause}");
}

#[tokio::test]
async fn who_has_a_mail_gets_it_once_while_another_is_asked_to_wait() {
    let server = MailServer::start().await;
    server.will(2, "RCPT TO:<anna@", Does::Says("451 greylisted, anna@example.org"));
    server.will(1, "DATA", Does::Says("452 full"));
    let mut email = to_both(&server);
    let mut tries = 0;
    while let Err(undelivered) = email.show(&opened(), None).await {
        let Undelivered::Away(cause) = undelivered else { panic!("{undelivered:?}") };
        let cause = format!("{cause:#}");
        assert!(cause.contains("answers 45") && !cause.contains("anna"), "{cause}");
        tries += 1;
        assert!(tries < 5, "{cause}");
    }
    assert_eq!(tries, 2);
    assert_eq!((server.mails_to(ANNA).len(), server.mails_to(BORIS).len()), (1, 1));
}

#[tokio::test]
async fn who_cannot_be_served_while_others_are_is_given_up_in_the_end() {
    let server = MailServer::start().await;
    server.will(usize::MAX, "RCPT TO:<anna@", Does::CutsTheLine);
    let mut email = to_both(&server);
    let mut tries = 0;
    while let Err(undelivered) = email.show(&opened(), None).await {
        assert!(matches!(undelivered, Undelivered::Away(_)), "{undelivered:?}");
        tries += 1;
        assert!(tries < 20, "{undelivered}");
    }
    assert_eq!((server.mails_to(ANNA).len(), server.mails_to(BORIS).len()), (0, 1));
    // Where nobody is served it may be an outage, which is waited for however long it takes.
    let mut email = Email::new(to(&server, ANNA));
    for _ in 0..20 {
        let told = email.show(&opened(), None).await;
        assert!(matches!(told, Err(Undelivered::Away(_))), "{told:?}");
    }
}

#[tokio::test]
async fn whether_a_mail_arrived_is_known_or_said_to_be_unknown() {
    let server = MailServer::start().await;
    let mut email = Email::new(to(&server, ANNA));
    for (command, does, is_known) in [
        ("HELLO", Does::Hangs, true),
        ("HELLO", Does::CutsTheLine, true),
        ("HELLO", Does::Says("554 go away"), true),
        ("MAIL", Does::Says("550 who are you"), true),
        ("RCPT", Does::Hangs, true),
        ("DATA", Does::CutsTheLine, true),
        (".", Does::Says("450 later"), true),
        (".", Does::Hangs, false),
        (".", Does::CutsTheLine, false),
    ] {
        let before = server.mails().len();
        server.will(1, command, does);
        let told = email.show(&opened(), None).await;
        let is_as_said = match &told {
            Err(Undelivered::Away(_)) => is_known && server.mails().len() == before,
            Err(Undelivered::Unknown(_)) => !is_known && server.mails().len() == before + 1,
            _ => false,
        };
        assert!(is_as_said, "{command} {does:?}: {told:?}");
    }
    server.will(1, ".", Does::Says("554 spam"));
    let told = email.show(&opened(), None).await;
    assert!(matches!(told, Err(Undelivered::Refused(_))), "{told:?}");
    // It has the mail; that it does not say goodbye changes nothing.
    server.will(1, "QUIT", Does::Hangs);
    email.show(&opened(), None).await.unwrap();
    let ids = ids(&server.mails());
    assert_eq!(ids.len(), 3);
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[tokio::test]
async fn a_server_that_fails_is_left_alone_for_a_while() {
    let server = MailServer::start().await;
    server.will(1, "MAIL", Does::Says("451 later"));
    let mut settings = to(&server, ANNA);
    settings.pauses = Pauses::SLOW;
    let mut email = Email::new(settings);
    for _ in 0..3 {
        let told = email.show(&opened(), None).await;
        assert!(matches!(&told, Err(Undelivered::Away(cause)) if format!("{cause:#}").contains("451")), "{told:?}");
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn no_text_breaks_out_of_its_place() {
    let server = MailServer::start().await;
    let mut email = Email::new(to(&server, ANNA));
    let evil = "Ошибка\r\nBcc: eve@example.org\r\n\r\nHi\u{0}\u{85}\u{2028}x";
    let mut step = step(1, Phase::Firing, 1);
    step.rule = "a\r\nBcc: eve@example.org>".to_owned();
    let text = ".\r\n.\r\nMAIL FROM:<eve@example.org>\r\n..\r\nпривет".to_owned();
    let message = Message { title: evil.repeat(9), text: text.clone(), ..message(step) };
    email.show(&message, None).await.unwrap();
    let mails = server.mails();
    let [mail] = mails.as_slice() else { panic!("{} mails", mails.len()) };
    assert!(mail.headers("Bcc").is_empty());
    assert!(mail.header("Message-ID").bytes().all(|byte| byte.is_ascii_graphic()));
    assert!(mail.lines.iter().all(|line| line.is_ascii() && line.len() < 1000));
    let names: Vec<_> =
        mail.lines.iter().take_while(|line| !line.is_empty()).filter_map(|line| line.split_once(": ")).collect();
    assert!(names.iter().all(|(name, _)| !name.starts_with("Bcc")), "{names:?}");
}
