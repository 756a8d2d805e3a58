import TollgateClient

struct Sender {
    let client = TollgateClient(.init(host: "127.0.0.1", port: 50051))
}
