//! Keys that the operator makes on the database, and the first app's key that the operator brings.

use base64::Engine as _;
use serde_json::Value;

use crate::harness::{
    Backend, Caller, Credentials, Place, TestServer, each_backend, eventually, pb, program, user,
};

const OWN: &str = "kP3v9XqL0sT7mZ2bR5nW8yC1dF4gH6jK";

/// What `usher app new-key` prints; or what it says where it refuses.
async fn new_key(place: &Place, app: &str, flags: &[&str]) -> Result<Credentials, String> {
    let mut command = program(place);
    command.args(["app", "new-key", app, "--json", "--data-dir"]).arg(&place.data_dir).args(flags);
    let output = command.stderr(std::process::Stdio::piped()).output().await.unwrap();
    if !output.status.success() {
        return Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    let made: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(made["name"], app);
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    Ok(Credentials { kid: text("key"), secret: text("secret") })
}

async fn kids(caller: &Caller) -> Vec<(String, bool)> {
    let keys = caller.apps().list_keys(pb::ListKeysRequest {}).await.unwrap().into_inner().keys;
    keys.into_iter().map(|key| (key.kid, key.signing)).collect()
}

fn kid_of(token: &str) -> String {
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap());
    serde_json::from_slice::<Value>(&header.unwrap()).unwrap()["kid"].as_str().unwrap().to_owned()
}

fn file(backend: &Backend, content: &str) -> String {
    let file = backend.dir().join("brought.secret");
    std::fs::write(&file, content).unwrap();
    file.to_str().unwrap().to_owned()
}

async fn of_new_key(server: &TestServer, app: &str, flags: &[&str]) -> Caller {
    server.of_app(new_key(server.place(), app, flags).await.unwrap())
}

each_backend! {
    async fn a_new_key_lets_callers_in_while_the_server_runs(backend: Backend) {
        let server = backend.start().await;
        let lost = server.of_app(backend.create_app("shop", server.place()).await);
        lost.upsert(vec![user("ada")]).await;
        let before = lost.user_token("ada").await;

        let back = of_new_key(&server, "shop", &[]).await;

        let (old, new) = (lost.credentials().kid.clone(), back.credentials().kid.clone());
        assert_eq!(kids(&back).await, [(old, false), (new.clone(), true)]);
        let request = pb::VerifyTokenRequest { token: before };
        assert!(back.tokens().verify_token(request).await.unwrap().into_inner().valid, "the old key verifies");
        eventually("a token of the new key", || async {
            (kid_of(&back.user_token("ada").await) == new).then_some(())
        })
        .await;
        assert_eq!(kids(&server).await.len(), 1, "no other app gets a key");
    }

    async fn a_new_key_is_made_though_the_app_has_as_many_as_it_could_make(backend: Backend) {
        let server = backend.start().await;
        for _ in 1..20 {
            server.apps().create_key(pb::CreateKeyRequest::default()).await.unwrap();
        }
        let back = of_new_key(&server, "default", &[]).await;
        let keys = kids(&back).await;
        assert_eq!((keys.len(), keys.iter().filter(|(_, signing)| *signing).count()), (21, 1));
    }

    async fn a_new_key_may_have_a_name_and_secret_of_ones_own(backend: Backend) {
        let server = backend.start().await;
        let secret = file(&backend, &format!("\u{feff}{OWN}\r\n"));
        let back = of_new_key(&server, "default", &["--kid", "prod_2026-11", "--secret-file", &secret]).await;
        assert_eq!((back.credentials().kid.as_str(), back.credentials().secret.as_str()), ("prod_2026-11", OWN));
        assert_eq!(kids(&back).await.len(), 2);
        let other = backend.dir().join("other.secret");
        std::fs::write(&other, OWN.to_lowercase()).unwrap();
        let mut create = program(server.place());
        create.args(["app", "create", "shop", "--kid", "shop-1", "--secret-file"]).arg(other);
        let made = create.arg("--data-dir").arg(&server.place().data_dir).output().await.unwrap();
        assert!(String::from_utf8_lossy(&made.stdout).contains("key: shop-1\n"));
        let shop = Credentials { kid: "shop-1".to_owned(), secret: OWN.to_lowercase() };
        assert_eq!(kids(&server.of_app(shop)).await, [("shop-1".to_owned(), true)]);
    }

    async fn bad_names_and_secrets_of_a_new_key_are_refused_with_the_rule(backend: Backend) {
        let server = backend.start().await;
        let shop = backend.create_app("shop", server.place()).await;
        let own = server.credentials().kid.clone();
        let retired = server.apps().create_key(pb::CreateKeyRequest::default()).await.unwrap().into_inner();
        let retired = retired.key.unwrap().kid;
        server.apps().retire_key(pb::RetireKeyRequest { kid: retired.clone() }).await.unwrap();

        let long = "k".repeat(65);
        for kid in ["", "a b", "a.b", "operator", long.as_str()] {
            let said = new_key(server.place(), "default", &["--kid", kid]).await.unwrap_err();
            assert!(said.contains("the name of the key must be 1 to 64 characters"), "{kid:?}: {said}");
        }
        for taken in [own.as_str(), shop.kid.as_str(), retired.as_str()] {
            let said = new_key(server.place(), "default", &["--kid", taken]).await.unwrap_err();
            assert!(said.contains(&format!("a key called {taken} exists already")), "{said}");
        }
        for weak in ["", "hunter2", "abcdefghijklmnopqrstuvwxyz123456", &"x".repeat(600)] {
            let secret = file(&backend, weak);
            let said = new_key(server.place(), "default", &["--secret-file", &secret]).await.unwrap_err();
            assert!(said.contains("must be 32 to 512 printable ASCII characters"), "{weak:?}: {said}");
            assert!(weak.is_empty() || !said.contains(weak), "the secret is not shown: {said}");
        }
        let said = new_key(server.place(), "default", &["--secret-file", "/nowhere"]).await.unwrap_err();
        assert!(said.contains("cannot read /nowhere"), "{said}");
        let said = new_key(server.place(), "nobody", &[]).await.unwrap_err();
        assert!(said.contains("there is no app called nobody"), "{said}");
        assert_eq!(kids(&server).await.len(), 2, "nothing was made");
    }

    async fn a_new_key_of_the_first_app_is_kept_where_the_command_line_finds_it(backend: Backend) {
        let server = backend.start().await;
        let data_dir = server.place().data_dir.clone();
        std::fs::remove_file(data_dir.join("default.secret")).unwrap();
        let made = new_key(server.place(), "default", &[]).await.unwrap();
        let read = |name: &str| std::fs::read_to_string(data_dir.join(name)).unwrap();
        assert_eq!((read("default.key"), read("default.secret")), (made.kid.clone(), made.secret));
        let mut list = program(server.place());
        list.args(["app", "list-keys", "--server", &server.address().to_string(), "--data-dir"]).arg(&data_dir);
        let listed = list.output().await.unwrap();
        assert!(String::from_utf8_lossy(&listed.stdout).contains(&made.kid));
    }

    async fn the_first_app_gets_the_key_that_was_brought(backend: Backend) {
        let secret = file(&backend, &format!("{OWN}\n"));
        let launch = backend.launch().flag("--kid", "first").variable("USHER_DEFAULT_SECRET_FILE", &secret);
        let server = launch.start().await;
        let brought = server.of_app(Credentials { kid: "first".to_owned(), secret: OWN.to_owned() });
        assert_eq!(kids(&brought).await, [("first".to_owned(), true)]);

        // Later it counts no more, whatever it says; the app goes on with its keys.
        let other = file(&backend, &OWN.to_lowercase());
        let launch = server.kill().await.flag("--default-secret-file", &other);
        let server = launch.start().await;
        assert_eq!(kids(&server).await, [("first".to_owned(), true)]);
        assert!(server.log().contains("USHER_DEFAULT_SECRET_FILE"), "{}", server.log());
        assert!(!server.log().contains(&OWN.to_lowercase()), "no secret in the log");
    }

    async fn a_first_key_that_is_refused_leaves_nothing_behind(backend: Backend) {
        let weak = file(&backend, "secret");
        let launch = backend.launch();
        for (flag, value, rule) in [
            ("--kid", "operator", "the name of the key must be 1 to 64 characters"),
            ("--default-kid", "a b", "the name of the key must be 1 to 64 characters"),
            ("--default-secret-file", "/nowhere", "cannot read /nowhere"),
            ("--default-secret-file", &weak, "brought.secret must be 32 to 512 printable ASCII characters"),
        ] {
            let refused = launch.clone().flag(flag, value).try_start().await;
            let (_, log) = refused.err().expect("the server does not start");
            assert!(log.contains(rule), "{log}");
        }
        assert!(!launch.place().data_dir.exists(), "nothing was made");
    }
}
