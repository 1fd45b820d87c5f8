//! JSON, walked level by level.
use std::borrow::Cow;
#[derive(Debug, Clone, PartialEq)]
pub enum Node<'a> { Null, Bool(bool), Number(Cow<'a, str>), String(Cow<'a, str>), Array(Vec<Node<'a>>), Object(Vec<(Cow<'a, str>, Node<'a>)>) }
