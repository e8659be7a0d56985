//! What identity providers really send, against the server.

use crate::house::House;
use crate::replay::every_case;

#[tokio::test]
async fn every_conversation_goes_as_expected() {
    let house = House::new().await;
    let failed = every_case(&house.token, async |request| house.send(request).await).await;
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
