//! A small host service: customers' balances are read and adjusted while an upload, which comes over the network, is
//! imported.
//!
//! `cargo run --release --example host_service`

use std::{path::Path, time::Duration};

use tidemill::{
    domain::{
        command::{OnOverdraft, OnUnknown, Operation},
        identifier::IdentifierKind,
        outcome::Status,
    },
    engine::request::{AdjustRequest, FileRequest, JobRequest, PointsExpiry, PointsRequest},
    error::ErrorKind,
    options::Options,
    report::export::{Export, format::ExportFormat},
    service::Service,
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
};

const ROWS: u32 = 200_000;

/// Serves one upload.
#[tokio::main]
pub async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::temp_dir().join(format!("tidemill-host-service-{}", std::process::id()));
    let served = serve(&directory.join("store")).await;
    let _ = std::fs::remove_dir_all(directory);
    served
}

async fn serve(store: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let client = tokio::spawn(upload(TcpStream::connect(listener.local_addr()?).await?));
    let (body, _) = listener.accept().await?;

    // The service is a handle; clones of it go to the tasks of the host.
    let service = Service::create(store.to_owned(), Options::default()).await?;
    let job = JobRequest { reason: Some("Diwali".to_owned()), ..JobRequest::default() };
    let file = FileRequest { path: "upload.csv".into(), ..FileRequest::default() };
    let request = PointsRequest { file, on_unknown: OnUnknown::Create, ..PointsRequest::default() };
    // It returns at once, and the job goes on by itself. `job.stop()` would end it at its next commit.
    let mut job = service.upload_points(body, job, request);

    let reader = tokio::spawn(balances(service.clone()));
    let adjuster = tokio::spawn(adjustments(service.clone()));
    while let Some(progress) = job.progress().await {
        println!("{:<10} {:>9} rows, {:>9} durable", progress.stage.word(), progress.rows, progress.rows_durable);
    }
    let summary = job.finish().await?;
    println!("{} applied, {} rejected", summary.rows.applied, summary.rows.rejected);
    println!("balances read meanwhile: {:?}", reader.await??);
    println!("adjustments acknowledged meanwhile: {}", adjuster.await??);
    client.await??;

    // An export goes to any `AsyncWrite`: the body of a response, for example.
    let mut csv = Vec::new();
    let rows = service.export(Export::Balances { nonzero: true }, ExportFormat::CSV, &mut csv).await?;
    println!("{rows} balances in {} bytes", csv.len());
    Ok(())
}

/// What a customer's request would read, again and again while the job runs: always a state that was committed.
async fn balances(service: Service) -> tidemill::error::Result<Vec<String>> {
    let mut seen = Vec::new();
    loop {
        let is_running = !service.running().is_empty();
        match service.balances(IdentifierKind::Email, "customer7@example.com").await {
            Ok(accounts) if seen.last() != Some(&accounts[0].balance) => seen.push(accounts[0].balance.clone()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        if !is_running {
            return Ok(seen);
        }
    }
}

/// What the shop's own events would do: one customer gets points, again and again while the job runs. Each is durable, with
/// all rows of the upload before it, when the call returns.
async fn adjustments(service: Service) -> tidemill::error::Result<u32> {
    let mut acknowledged = 0;
    while !service.running().is_empty() {
        let request = AdjustRequest {
            identifiers: vec![(IdentifierKind::Email, "customer7@example.com".to_owned())],
            operation: Operation::Credit,
            amount: "50".to_owned(),
            on_overdraft: OnOverdraft::Reject,
            expiry: Some(PointsExpiry::InDays(30)),
        };
        let job = JobRequest { reason: Some("late parcel".to_owned()), ..JobRequest::default() };
        // Rejected until a row of the upload has created the customer.
        let view = service.adjust(job, request).await?;
        acknowledged += u32::from(view.status == Status::Applied);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(acknowledged)
}

/// The other side of the connection.
async fn upload(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(b"email,mobile,amount,operation\n").await?;
    for row in 0..ROWS {
        stream.write_all(format!("customer{}@example.com,,{row},CR\n", row % 1000).as_bytes()).await?;
    }
    stream.shutdown().await
}
