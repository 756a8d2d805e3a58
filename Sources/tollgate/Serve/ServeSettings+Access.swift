internal import Access

extension ServeSettings {
    mutating func readAccess(_ reader: SettingsReader) throws(SettingsError) {
        identitiesFile = reader.text(.identitiesFile)
        callerRate = try reader.count(.callerRate, Pace.range)
        if insecureNoAuth, identitiesFile != nil {
            throw SettingsError(
                description:
                    "identities are for a service that asks who its callers are: not with --insecure-no-auth"
            )
        }
    }
}
