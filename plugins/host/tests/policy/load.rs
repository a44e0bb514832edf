//! What is loaded, and what is refused with a name to it.

use crate::hostile::load;
use std::fs;
use std::path::Path;
use tidelog_model::policy::{PolicyErrorKind, RepairPolicy};
use tidelog_wasm::testing::{HOSTILE, WIT_TEXT, component, component_of, hostile_round, module};
use tidelog_wasm::{LoadError, Loader, Manifest, WASM_BYTES_MAX, golden_round};

const CALM: &str = "(global.get $answer)";

fn write(folder: &Path, wasm: &[u8], manifest: &str) -> std::path::PathBuf {
    let path = folder.join("policy.wasm");
    fs::write(&path, wasm).unwrap();
    fs::write(folder.join("policy.toml"), manifest).unwrap();
    path
}

#[test]
fn a_file_is_loaded_by_the_manifest_beside_it_and_runs_on_when_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let wasm = component(&module("", CALM));
    let path = write(folder.path(), &wasm, &Manifest::of("calm", &wasm).to_string());
    let mut policy = Loader::new().load_file(&path).unwrap();
    assert_eq!(policy.name(), "calm");
    // Replaced by another one, cut, and gone: what runs does not look back.
    fs::write(&path, HOSTILE[0].component()).unwrap();
    assert!(matches!(Loader::new().load_file(&path), Err(LoadError::Hash { .. })));
    fs::write(&path, &wasm[..wasm.len() / 2]).unwrap();
    assert!(matches!(Loader::new().load_file(&path), Err(LoadError::Hash { .. })));
    fs::remove_file(&path).unwrap();
    assert!(matches!(Loader::new().load_file(&path), Err(LoadError::Read { .. })));
    assert_eq!(policy.plan(&hostile_round()).unwrap(), []);
}

#[test]
fn files_that_are_too_large_or_have_no_manifest_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let wasm = component(&module("", CALM));
    let manifest = Manifest::of("calm", &wasm).to_string();
    let path = write(folder.path(), &vec![0; WASM_BYTES_MAX + 1], &manifest);
    let error = Loader::new().load_file(&path).unwrap_err();
    assert!(error.to_string().contains("policy.wasm is too large"), "{error}");
    let large = vec![0; WASM_BYTES_MAX + 1];
    assert!(matches!(load(&large), Err(LoadError::TooLarge { .. })));
    let path = write(folder.path(), &wasm, &manifest.replace("0.1", "0.2"));
    let error = Loader::new().load_file(&path).unwrap_err();
    assert!(error.to_string().contains("policy.toml"), "{error}");
    fs::remove_file(folder.path().join("policy.toml")).unwrap();
    let error = Loader::new().load_file(&path).unwrap_err();
    assert!(error.to_string().contains("policy.toml"), "{error}");
}

#[test]
fn what_is_no_component_is_refused() {
    for bytes in [&b""[..], b"\0asm\x01\0\0\0", b"\x7fELF", &[0xff; 1_000]] {
        assert!(matches!(load(bytes), Err(LoadError::Compile(_))), "{bytes:?}");
    }
    let wasm = component(&module("", CALM));
    for cut in (0..wasm.len()).step_by(61) {
        load(&wasm[..cut]).unwrap_err();
    }
    // The component that has nothing in it.
    let error = load(b"\0asm\x0d\0\x01\0").unwrap_err().to_string();
    assert!(error.contains("exports nothing"), "{error}");
}

#[test]
fn an_import_that_policies_do_not_get_is_named() {
    let evil = "package evil:net@1.0.0;
        interface sockets { connect: func(port: u16); }
        world w { import sockets; import tidelog:policy/log@0.1.0; export tidelog:policy/repair@0.1.0; }";
    let wat = module("", CALM).replacen(
        "(memory",
        "(import \"evil:net/sockets@1.0.0\" \"connect\" (func (param i32))) (memory",
        1,
    );
    let error = load(&component_of(&wat, &[WIT_TEXT, evil], "evil:net/w")).unwrap_err();
    let named = matches!(&error, LoadError::Import { name } if name == "evil:net/sockets@1.0.0");
    assert!(named, "{error}");
}

#[test]
fn a_policy_for_another_version_is_named() {
    let text = WIT_TEXT.replace("policy@0.1.0", "policy@0.2.0");
    let wat = module("", CALM).replace("@0.1.0", "@0.2.0");
    let error = load(&component_of(&wat, &[&text], "tidelog:policy/repair-policy")).unwrap_err();
    assert!(error.to_string().contains("tidelog:policy/repair@0.2.0"), "{error}");
}

#[test]
fn a_plan_of_another_type_is_refused() {
    let text = WIT_TEXT.replace("peer: u32,\n    }", "peer: u64,\n    }");
    assert_ne!(text, WIT_TEXT);
    let wasm = component_of(&module("", CALM), &[&text], "tidelog:policy/repair-policy");
    let error = load(&wasm).unwrap_err();
    assert!(matches!(error, LoadError::Types(_)), "{error}");
}

#[test]
fn a_policy_that_fails_on_a_sample_round_is_refused_with_the_round() {
    // Traps when there are windows.
    let wat = module("", CALM).replacen(
        "(local $i i32)",
        "(local $i i32) (if (local.get $windows_len) (then unreachable))",
        1,
    );
    let error = load(&component(&wat)).unwrap_err();
    let tried = matches!(&error, LoadError::Tried { windows: 1, source } if source.kind == PolicyErrorKind::Trap);
    assert!(tried, "{error}");
}

#[test]
#[cfg(unix)]
fn compiled_code_is_kept_and_a_poisoned_entry_is_compiled_anew() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("cache");
    let wasm = component(&module("", CALM));
    let manifest = Manifest::of("calm", &wasm);
    let loader = Loader::with_cache(&folder).unwrap();
    loader.load(&wasm, manifest.clone()).unwrap();
    let entries = || {
        let names = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        names.filter(|path| path.extension().is_some_and(|e| e == "code")).collect::<Vec<_>>()
    };
    let [entry] = &entries()[..] else { panic!("{:?}", entries()) };
    let kept = fs::read(entry).unwrap();

    // Other code under the same name, as one who could write here would leave it.
    let other = HOSTILE[0].component();
    Loader::with_cache(&folder).unwrap().load(&other, Manifest::of("spin", &other)).unwrap();
    let foreign = entries().into_iter().find(|path| path != entry).unwrap();
    fs::copy(&foreign, entry).unwrap();
    let mut policy = Loader::with_cache(&folder).unwrap().load(&wasm, manifest.clone()).unwrap();
    assert_eq!(policy.plan(&hostile_round()).unwrap(), [], "not the one that spins");
    assert_eq!(fs::read(entry).unwrap(), kept, "the entry is whole again");

    let mut limits = manifest.clone();
    limits.limits.deadline *= 2;
    loader.load(&wasm, limits).unwrap();
    assert_eq!(entries().len(), 3, "other limits, other code");
    let mut policy = loader.load(&wasm, manifest).unwrap();
    assert_eq!(policy.plan(&golden_round(1)).unwrap(), []);
}
