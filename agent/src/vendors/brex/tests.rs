//! What the Brex client does, without a server: a scripted transport and hand-written answers.
