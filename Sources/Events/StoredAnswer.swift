/// Answers to changes that carried an idempotency key, as they are kept: settings of the service in the journal.
package enum StoredAnswer {
    package static let settingPrefix = "answer/"
}
