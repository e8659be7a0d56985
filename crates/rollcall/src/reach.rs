//! Whether this server may reach a URL that an administrator names: the rules of `connectors`' egress, in words for those who can only ask for it.

use administration::administration::Reach;
use async_trait::async_trait;
use connectors::egress::Egress;
use url::Url;

/// The rules.
pub struct Rules(pub Egress);

#[async_trait]
impl Reach for Rules {
    async fn check(&self, url: &Url) -> Result<(), String> {
        let Err(refusal) = self.0.check_resolved(url).await else {
            return Ok(());
        };
        Err(match &refusal.place {
            Some(place) => {
                format!("{refusal}; the server can be started with --allow-private {place}")
            }
            None => refusal.to_string(),
        })
    }
}
