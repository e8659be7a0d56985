//! The audit log: entries are stored with what they are about, and a change behind the log's back is found.

use access::credential::{TokenHash, TokenRecord};
use directory::access::Permissions;
use directory::audit::{Broken, Chain, Entry, Verification};
use directory::tenant::TenantId;
use jiff::Timestamp;
use serde_json::json;

use crate::place::{Opened, Place, World, on_both_engines};

on_both_engines!(
    entries_are_stored_with_their_acts,
    a_changed_entry_is_found,
    acts_at_once_form_one_chain
);

fn entry(on: &str) -> Entry {
    Entry {
        after: Some(json!({"name": "\u{0}\u{2028}ö", "at": 1.5})),
        ..Entry::of_program("token.create", on, Timestamp::UNIX_EPOCH)
    }
}

fn token(tenant: TenantId, id: &str) -> TokenRecord {
    let mut hash = [0; 32];
    hash.iter_mut()
        .zip(id.bytes())
        .for_each(|(to, from)| *to = from);
    TokenRecord {
        id: id.into(),
        tenant,
        name: "test".into(),
        hash: TokenHash(hash),
        created: Timestamp::UNIX_EPOCH,
        expires: None,
        revoked: None,
        last_used: None,
        permissions: Permissions::default(),
    }
}

async fn verified(opened: &Opened, chain: Chain) -> Result<u64, Broken> {
    let (audit, mut verification) = (&opened.audit, Verification::of(chain));
    // Page by page, as it is done for long chains.
    loop {
        let after = verification.entries();
        let page = audit.audit_entries(chain, after, 2).await.unwrap();
        if page.is_empty() {
            break;
        }
        page.iter().try_for_each(|one| verification.next(one))?;
    }
    verification.end(&audit.audit_head(chain).await.unwrap())?;
    Ok(verification.entries())
}

async fn entries_are_stored_with_their_acts(place: Place) {
    let world = World::new(&place).await;
    let (tenants, tenant) = (&world.opened.tenants, world.tenant.id);
    let chain = Chain::Tenant(tenant);
    assert_eq!(verified(&world.opened, chain).await, Ok(0));
    for id in ["1", "2", "3"] {
        assert!(
            tenants
                .create_token(token(tenant, id), entry(id))
                .await
                .unwrap()
        );
    }
    let at = Timestamp::UNIX_EPOCH;
    assert!(
        tenants
            .revoke_token(tenant, "2", at, entry("2"))
            .await
            .unwrap()
    );
    assert_eq!(verified(&world.opened, chain).await, Ok(4));
    // What changes nothing leaves no entry, and what fails neither.
    assert!(
        !tenants
            .revoke_token(tenant, "9", at, entry("9"))
            .await
            .unwrap()
    );
    let of_nobody = TokenRecord {
        permissions: Permissions {
            user: Some("nobody".into()),
            ..Permissions::default()
        },
        ..token(tenant, "4")
    };
    assert!(!tenants.create_token(of_nobody, entry("4")).await.unwrap());
    tenants
        .create_token(token(tenant, "1"), entry("1"))
        .await
        .unwrap_err();
    assert_eq!(verified(&world.opened, chain).await, Ok(4));
    // The tenant was made.
    assert_eq!(verified(&world.opened, Chain::Installation).await, Ok(1));

    let page = world.opened.audit.audit_entries(chain, 1, 2).await.unwrap();
    let read: Vec<(u64, Entry)> = page
        .iter()
        .map(|one| (one.number, serde_json::from_str(&one.text).unwrap()))
        .collect();
    assert_eq!(read, [(2, entry("2")), (3, entry("3"))]);
}

async fn a_changed_entry_is_found(place: Place) {
    let world = World::new(&place).await;
    let (tenants, tenant) = (&world.opened.tenants, world.tenant.id);
    for id in ["1", "2", "3"] {
        tenants
            .create_token(token(tenant, id), entry(id))
            .await
            .unwrap();
    }
    let broken_at = async || {
        let found = verified(&world.opened, Chain::Tenant(tenant)).await;
        found.map_err(|broken| broken.number)
    };
    place
        .execute(
            "UPDATE audit_log SET entry = replace(entry, 'rollcall', 'somebody') WHERE number = 2",
        )
        .await;
    assert_eq!(broken_at().await, Err(2));
    place
        .execute(
            "UPDATE audit_log SET entry = replace(entry, 'somebody', 'rollcall') WHERE number = 2",
        )
        .await;
    assert_eq!(broken_at().await, Ok(3));
    place
        .execute("DELETE FROM audit_log WHERE number = 3")
        .await;
    assert_eq!(broken_at().await, Err(3));
}

async fn acts_at_once_form_one_chain(place: Place) {
    let world = World::new(&place).await;
    let tenant = world.tenant.id;
    let mut acts = tokio::task::JoinSet::new();
    for number in 0..16 {
        let tenants = world.opened.tenants.clone();
        acts.spawn(async move {
            let id = format!("t{number}");
            tenants.create_token(token(tenant, &id), entry(&id)).await
        });
    }
    while let Some(made) = acts.join_next().await {
        assert!(made.unwrap().unwrap());
    }
    assert_eq!(verified(&world.opened, Chain::Tenant(tenant)).await, Ok(16));
}
