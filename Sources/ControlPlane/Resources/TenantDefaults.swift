import Access
package import Engine
import Events
import Foundation
import HTTPTypes
import JSON
package import Limits

/// `/v2/tenant_defaults`: the limit fields that pre-fill a new tenant, kept as a setting of the service.
struct TenantDefaults: Sendable {
    let core: ControlPlaneContext

    init(_ core: ControlPlaneContext) { self.core = core }

    var routes: [Route] {
        [
            Route(
                .get, "/v2/tenant_defaults", .readConfiguration, Operations.getDefaults, get),
            Route(
                .patch, "/v2/tenant_defaults", .change, Operations.updateDefaults, update),
        ]
    }

    func present() throws -> TenantLimits { try core.engine.tenantDefaults }

    func get(_ exchange: Exchange) async throws -> Reply { try reply() }

    func update(_ exchange: Exchange) async throws -> Reply {
        try core.changingSettings {
            try exchange.checkIfMatch(tag)
            var limits = try present()
            let body = try exchange.bodyReader()
            TenantLimits.settings.read(body, into: &limits)
            body.finish()
            try body.findings.check()
            try core.engine.setSetting(
                DefaultLimits.setting, SettingValue.encode(DefaultLimits(limits)),
                by: exchange.requester)
            return try reply()
        }
    }

    private var tag: String { Tag.of(core.engine.setting(DefaultLimits.setting) ?? "") }

    private func reply() throws -> Reply {
        .data(["record_type": "tenant_defaults"] + (try present().fields.json), tag: tag)
    }
}

extension Engine {
    /// What a new tenant starts with; nothing set: no limits.
    package var tenantDefaults: TenantLimits {
        get throws {
            guard let value = setting(DefaultLimits.setting) else { return TenantLimits() }
            return try SettingValue.decode(DefaultLimits.self, value).limits
        }
    }
}
