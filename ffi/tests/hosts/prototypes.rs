//! The functions of the header, and a C file that calls each with zeros: for tests of what nobody should do.

use crate::tools::here;
use std::fmt::Write;
use std::fs;

/// A function of the header.
pub(crate) struct Prototype {
    pub(crate) name: String,
    /// Types and names, as they stand.
    pub(crate) arguments: Vec<String>,
}

impl Prototype {
    /// Has it an error to write?
    pub(crate) fn can_fail(&self) -> bool {
        self.arguments.last().is_some_and(|last| last.contains("tidelog_error *"))
    }
}

pub(crate) fn header() -> String {
    fs::read_to_string(here().join("include/tidelog.h")).unwrap()
}

/// What is left of C without its comments.
fn bare(header: &str) -> String {
    let mut code = String::new();
    let mut rest = header;
    while let Some((before, comment)) = rest.split_once("/*") {
        code.push_str(before);
        rest = comment.split_once("*/").map_or("", |(_, rest)| rest);
    }
    code + rest
}

/// All that a header declares, in its order and without its comments: constants with their values, types, fields, functions with
/// their arguments, one in a line.
pub(crate) fn declarations(header: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut statement = String::new();
    for line in bare(header).lines().map(str::trim) {
        if line.starts_with("#define TIDELOG_") {
            found.push(line.to_owned());
        }
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        statement.push_str(line);
        if line.ends_with([';', '{', '}']) {
            found.push(std::mem::take(&mut statement));
        } else {
            statement.push(' ');
        }
    }
    found
}

/// All functions that a header declares.
pub(crate) fn prototypes(header: &str) -> Vec<Prototype> {
    let code = bare(header);
    let code: Vec<&str> = code.lines().filter(|line| !line.starts_with('#')).collect();
    let mut found = Vec::new();
    for statement in code.join(" ").split(';') {
        let statement = statement.trim();
        let Some((head, arguments)) = statement.split_once('(') else { continue };
        let Some(at) = head.find("tidelog_").and_then(|_| head.rfind("tidelog_")) else { continue };
        let (result, name) = head.split_at(at);
        if statement.contains("typedef") || statement.contains('{') || result.trim().is_empty() {
            continue;
        }
        let arguments = arguments.trim_end_matches(')').split(',').map(str::trim);
        found.push(Prototype {
            name: name.trim().to_owned(),
            arguments: arguments.filter(|one| *one != "void").map(str::to_owned).collect(),
        });
    }
    found
}

/// `tidelog_status call(const char *name, tidelog_error *error)`: calls a function by its name, with zeros for everything
/// but the error. Of those that have no error the result is `TIDELOG_OK`.
pub(crate) fn calls() -> String {
    let mut text = String::from(
        "#include \"tidelog.h\"\n#include <string.h>\n\ntidelog_status call(const char *name, tidelog_error *error);\n\ntidelog_status call(const char *name, tidelog_error *error)\n{\n",
    );
    for function in prototypes(&header()) {
        let mut zeros = vec!["0"; function.arguments.len()];
        let call = if function.can_fail() {
            *zeros.last_mut().unwrap() = "error";
            format!("return {}({});", function.name, zeros.join(", "))
        } else {
            format!(
                "(void)error; (void){}({}); return TIDELOG_OK;",
                function.name,
                zeros.join(", ")
            )
        };
        let _ = writeln!(text, "    if (strcmp(name, \"{}\") == 0) {{ {call} }}", function.name);
    }
    text + "    return -1000;\n}\n"
}
