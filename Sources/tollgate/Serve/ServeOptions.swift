internal import ArgumentParser

/// The flags of `tollgate serve`. All are texts here: one place parses them, whoever said them.
struct ServeOptions: ParsableArguments {
    @Option(
        help: .init(
            "Settings as YAML, with these flags' names as keys (environment TOLLGATE_CONFIG).",
            valueName: "file"))
    var config: String?

    @OptionGroup(title: .init(ServingSettings.title))
    var serving: CatalogueOptions<ServingSettings>
    @OptionGroup(title: .init(TLSSettings.title)) var tls: CatalogueOptions<TLSSettings>
    @OptionGroup(title: .init(CallerSettings.title)) var callers: CatalogueOptions<CallerSettings>
    @OptionGroup(title: .init(JournalSettings.title))
    var journal: CatalogueOptions<JournalSettings>
    @OptionGroup(title: .init(ReservationSettings.title))
    var reservations: CatalogueOptions<ReservationSettings>
    @OptionGroup(title: .init(GRPCSettings.title)) var grpc: CatalogueOptions<GRPCSettings>
    @OptionGroup(title: .init(HTTPSettings.title)) var http: CatalogueOptions<HTTPSettings>
    @OptionGroup(title: .init(AlertSettings.title)) var alerts: CatalogueOptions<AlertSettings>

    /// What the command line named, by the settings' names.
    var named: [String: String] {
        [
            serving.given, tls.given, callers.given, journal.given, reservations.given, grpc.given,
            http.given, alerts.given,
        ].reduce(into: [:]) { all, some in all.merge(some) { first, _ in first } }
    }
}
