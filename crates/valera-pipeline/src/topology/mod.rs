//! stub
pub async fn bind(context: &async_nats::jetstream::Context, stream: &str, consumer: &str) -> anyhow::Result<async_nats::jetstream::consumer::PullConsumer> {
    let _ = (context, stream, consumer); anyhow::bail!("stub")
}
