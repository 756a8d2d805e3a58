import Crypto
import Events
import Foundation
import JSON
import Testing

@testable import Notifications

@Suite struct WebhookBodyTests {
    private let reached = Event(
        id: "d21a2887-8007-4bb6-bd7d-f2874829918e", kind: .profileLimitReached,
        occurredAt: 1_724_181_428_918, tenantID: "t",
        profileID: "be3eb60a-a346-470a-886c-ab4e421711bd",
        limit: LimitReading(
            name: "profile_daily_spend", cap: 10_000_000, committed: 20_000_000, held: 0, asked: 0,
            percent: 80, windowStart: 1_724_112_000_000, resetsAt: 1_724_198_400_000))

    @Test func theExampleOfTheVendorByteForByte() {
        let data = """
            {"event_type":"messaging-profile.spend-limit-reached",\
            "id":"d21a2887-8007-4bb6-bd7d-f2874829918e",\
            "occurred_at":"2024-08-20T19:17:08.918+00:00",\
            "payload":{"configured_limit":"0.01","current_cost":"0.02",\
            "profile_id":"be3eb60a-a346-470a-886c-ab4e421711bd"},"record_type":"event"}
            """
        let body = EventJSON.body(
            reached, attempt: 1, deliveredTo: "https://example.com/webhook-url")
        #expect(EventJSON.data(reached).text == data)
        #expect(
            body == """
                {"data":\(data),\
                "meta":{"attempt":1,"delivered_to":"https://example.com/webhook-url"}}
                """)
    }

    /// The body of the messaging profile's, under a type of its own.
    @Test func anOutboundVoiceProfilesLimit() {
        var call = reached
        call.kind = .voiceProfileLimitReached
        #expect(
            EventJSON.data(call).text
                == EventJSON.data(reached).text.replacing(
                    "messaging-profile.spend-limit-reached",
                    with: "outbound-voice-profile.spend-limit-reached"))
        call.kind = .voiceProfileThresholdReached
        let data = EventJSON.data(call).text
        #expect(
            data.contains(#""event_type":"outbound-voice-profile.spend-limit-threshold-reached""#))
        #expect(data.contains(#""alert_threshold":80}"#))
    }

    /// The vendor's body stays as it is, whatever raised the event; in our own it is said.
    @Test func theOccasionStandsInOurOwnBodiesOnly() {
        var refused = reached
        refused.occasion = .refusal
        #expect(EventJSON.data(refused).text == EventJSON.data(reached).text)
        refused.kind = .profileThresholdReached
        #expect(
            EventJSON.data(refused).text.contains(#""alert_threshold":80,"occasion":"refusal"}"#))
    }

    @Test func minutesOfATenantAreSecondsWithTheCapInMinutesBeside() throws {
        let event = Event(
            id: "1", kind: .tenantLimitReached, occurredAt: 7, tenantID: "acme",
            tenantName: "A\"C\\M\u{1}é/",
            limit: LimitReading(
                name: "tenant_monthly_minutes", cap: 60_000, committed: 60_000, held: 60, asked: 1,
                percent: 80, windowStart: 0, resetsAt: 2_678_400_000))
        #expect(
            EventJSON.data(event).text == """
                {"event_type":"tenant.limit-reached","id":"1",\
                "occurred_at":"1970-01-01T00:00:00.007+00:00","payload":{"tenant_id":"acme",\
                "tenant_name":"A\\"C\\\\M\\u0001é/","limit":"tenant_monthly_minutes","cap":60000,\
                "cap_minutes":1000,"committed":60000,"held":60,"asked":1,"alert_threshold":80,\
                "window_start":"1970-01-01T00:00:00.000Z","resets_at":"1970-02-01T00:00:00.000Z"},\
                "record_type":"event"}
                """)
        let text = EventJSON.data(event).text
        #expect(try JSONSerialization.jsonObject(with: Data(text.utf8)) is NSDictionary)
    }

    @Test func aSuspensionByAnOperatorSaysWhy() {
        let event = Event(
            id: "1", kind: .tenantSuspended, occurredAt: 0, tenantID: "acme", reason: "fraud")
        #expect(
            EventJSON.data(event).text.contains(
                #""payload":{"tenant_id":"acme","tenant_name":"","reason":"fraud"}"#))
    }
}

@Suite struct WebhookSignerTests {
    // Made with Python's cryptography from the same seed.
    private let seed = [UInt8](0..<32)
    private let publicKey = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
    private let body = "{\"a\":\"/é\"}"

    @Test func bothSignaturesAreThoseOfAnotherImplementation() throws {
        let signer = try WebhookSigner(seed: seed)
        #expect(signer.publicKey == publicKey)
        let headers = try signer.headers(id: "evt-1", timestamp: 1_700_000_000, body: body)
        let fields = Dictionary(uniqueKeysWithValues: headers.map { ($0.name, $0.value) })
        #expect(
            fields == [
                "telnyx-timestamp": "1700000000", "webhook-timestamp": "1700000000",
                "webhook-id": "evt-1",
                "telnyx-signature-ed25519":
                    "vypEEbuo1E+V0pXH4uM+AQfUKgsvNLBUeVUZk2JGIurMQ1ChHgI1z+kv08QEt6GkGVvyOZTxcuWgC1kCTkXVDA==",
                "webhook-signature":
                    "v1a,ev2LPolVLA7h9hJRQLtcwLUaJbIixSGL1wj7xUbwh7h0HKp4S66niaNYGjlElaCHjaYQs5o7UOUaAKoaMsUOCw==",
            ])
    }

    @Test func theKeyIsMadeOnceAndForItsOwnerOnly() throws {
        try withDirectory { directory in
            let path = directory + "/" + "webhook-key"
            let made = try WebhookSigner(file: path)
            let attributes = try FileManager.default.attributesOfItem(atPath: path)
            #expect(attributes[.posixPermissions] as? Int == 0o600)
            #expect(try WebhookSigner(file: path).publicKey == made.publicKey)
            #expect(
                try FileManager.default.contentsOfDirectory(atPath: directory) == ["webhook-key"])
        }
    }

    /// What is derived from the key stays what it was over restarts, and is another with another key.
    @Test func secretsComeOfTheKey() throws {
        func text(_ key: SymmetricKey) -> [UInt8] { key.withUnsafeBytes { Array($0) } }
        try withDirectory { directory in
            let path = directory + "/" + "webhook-key"
            let made = try WebhookSigner(file: path)
            let secret = text(made.secret(for: "a"))
            #expect(secret.count == 32)
            #expect(text(try WebhookSigner(file: path).secret(for: "a")) == secret)
            #expect(text(made.secret(for: "b")) != secret)
            #expect(text(WebhookSigner().secret(for: "a")) != secret)
        }
    }

    @Test(arguments: ["", "AAAA\n", "no base64", String(repeating: "A", count: 100)])
    func aFileThatIsNoKeyIsRefusedAndStays(text: String) throws {
        try withDirectory { directory in
            let path = directory + "/webhook-key"
            try Data(text.utf8).write(to: URL(fileURLWithPath: path))
            let error = #expect(throws: WebhookSigner.KeyError.self) {
                _ = try WebhookSigner(file: path)
            }
            #expect(error?.description.contains(path) == true)
            #expect(try String(contentsOfFile: path, encoding: .utf8) == text)
        }
    }

    @Test func aDirectoryThatIsMissingIsNamed() {
        #expect(throws: WebhookSigner.KeyError.self) {
            _ = try WebhookSigner(file: "/nowhere/at/all/webhook-key")
        }
    }

    private func withDirectory(_ body: (String) throws -> Void) throws {
        let directory = FileManager.default.temporaryDirectory
            .appendingPathComponent("signer-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(
            atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try body(directory)
    }
}
