import Limits
import Testing

/// The catalogues of resources and limits: what tells one from another is in their rows, and names are a contract.
@Suite struct CatalogueTests {
    private func areUnique(_ names: [String]) -> Bool {
        names.allSatisfy { !$0.isEmpty } && Set(names).count == names.count
    }

    @Test func rowsAreInTheOrderOfTheirNumbers() {
        #expect(Resource.catalogue.map(\.resource) == Resource.allCases)
        #expect(LimitKind.catalogue.map(\.kind) == LimitKind.allCases)
        #expect(Resource.allCases.map(\.index) == Array(Resource.catalogue.indices))
        for kind in LimitKind.allCases { #expect(LimitKind.row(named: kind.row.name) === kind.row) }
        #expect(LimitKind.row(named: "tenant_spend") == nil)
    }

    /// Counted when the program is compiled, from the rows.
    @Test func rowsAreCounted() {
        #expect(Resource.count == Resource.allCases.count)
        #expect(LimitKind.counterCount == LimitSubject.tenant.limits.count)
        #expect(
            (0..<LimitKind.counterCount).map { LimitRules.standard.kind(of: $0) }
                == LimitSubject.tenant.limits.map(\.kind))
    }

    @Test func namesTellRowsApart() {
        let resources = Resource.catalogue
        #expect(areUnique(resources.map(\.name)) && areUnique(resources.map(\.column)))
        #expect(areUnique(resources.map(\.option)) && areUnique(resources.map(\.title)))
        #expect(areUnique(resources.map(\.heading)) && areUnique(resources.map(\.csvColumn)))
        for subject in LimitSubject.allCases {
            let limits = subject.limits
            #expect(limits.allSatisfy { $0.subject == subject })
            #expect(areUnique(limits.map(\.name)) && areUnique(limits.map(\.sortName)))
            #expect(areUnique(limits.map(\.words.title)) && areUnique(limits.map(\.words.phrase)))
            #expect(areUnique(limits.map(\.words.heading)) && areUnique(limits.map(\.words.most)))
            #expect(areUnique(limits.map(\.cap.name) + limits.compactMap(\.cap.toggle?.name)))
        }
        #expect(
            LimitSubject.allCases.flatMap { $0.limits.map(\.kind) }.count
                == LimitKind.allCases.count)
    }

    @Test func namesAreTheContracts() {
        #expect(
            Resource.allCases.map(\.name) == [
                "spend", "extensions", "dids", "call_seconds", "concurrent_calls", "messages",
            ])
        #expect(
            LimitSubject.tenant.limits.map(\.sortName) == [
                "monthly_spend", "extensions", "dids", "monthly_minutes", "daily_spend",
                "concurrent_calls", "daily_messages",
            ])
        #expect(
            CapSetting.all.map(\.name) == [
                "monthly_spend_limit", "max_extensions", "max_dids", "max_monthly_minutes",
                "daily_spend_limit", "max_concurrent_calls", "max_daily_messages",
            ])
        #expect(LimitKind.tenantMonthlyMinutes.row.cap.keptName == "max_monthly_seconds")
        for kind in ProfileKind.allCases {
            #expect(kind.limit.cap.name == "daily_spend_limit")
            #expect(kind.limit.cap.toggleName == "daily_spend_limit_enabled")
        }
    }

    @Test func profilesGoByTheirKind() {
        for kind in ProfileKind.allCases {
            #expect(kind.subject.profileKind == kind && kind.limit.subject == kind.subject)
            #expect(ProfileKind.named(kind.name) == kind)
            #expect(LimitRules.standard.limit(of: kind) == kind.limit.kind)
            #expect("\(kind.idPointer)" == "/" + kind.idField)
        }
        #expect(LimitSubject.tenant.profileKind == nil && ProfileKind.named("fax") == nil)
        let kinds = ProfileKind.allCases
        #expect(kinds.map(\.collection) == ["messaging_profiles", "outbound_voice_profiles"])
        #expect(kinds.map(\.idField) == ["messaging_profile_id", "voice_profile_id"])
        #expect(kinds.map(\.limit.name) == ["profile_daily_spend", "voice_profile_daily_spend"])
        #expect(kinds.map(\.limit.error.rawValue) == [40333, 49007])
        var state = ProfileState()
        for kind in kinds {
            state.kind = kind
            var copy = ProfileState()
            copy.flags = state.flags
            #expect(copy.kind == kind)
        }
    }

    /// What is only ever held is in no report, and its counts are not set.
    @Test func reportsHaveWhatIsCommitted() {
        let reported = Resource.reported.map(\.resource)
        #expect(Set(reported) == Set(Resource.allCases.filter { $0.row.nature != .held }))
        for resource in Resource.allCases {
            #expect(resource.mayShrink == Resource.standing.contains { $0.resource == resource })
            #expect(resource.mayShrink == (resource.row.countHelp != nil))
        }
    }

    /// Texts that are fixed, for the decoder's sake, say what the rows say.
    @Test func fixedTextsAreTheRows() {
        let standing = Resource.standing.map(\.plural).listed("and")
        #expect("\(Resource.shrinkingDetail)" == "Only \(standing) may have a negative amount")
        #expect(
            "\(Resource.mostOfRequestDetail)"
                == "At most \(Resource.mostOfRequest) quantities are allowed")
    }

    @Test func textsAreListed() {
        #expect([String]().listed("or") == "")
        #expect(["a"].listed("or") == "a")
        #expect(["a", "b"].listed("and") == "a and b")
        #expect(["a", "b", "c"].listed("or") == "a, b or c")
    }
}
