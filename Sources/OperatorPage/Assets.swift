import Crypto
import Foundation

/// A file that pages load.
struct Asset: Sendable {
    var type: String
    var bytes: [UInt8]
    /// The value of `ETag`.
    var tag: String

    private init(_ type: String, _ bytes: [UInt8]) {
        self.type = type
        self.bytes = bytes
        let digest = SHA256.hash(data: bytes).prefix(8)
        tag = "\"" + digest.map { String($0, radix: 16) }.joined(separator: "-") + "\""
    }

    /// By file name.
    static let all: [String: Asset] = [
        "page.css": Asset("text/css; charset=utf-8", PackageResources.page_css),
        "icon.svg": Asset("image/svg+xml", PackageResources.icon_svg),
        "page.js": script(PackageResources.page_js),
        "tenants.js": script(PackageResources.tenants_js),
        "tenant.js": script(PackageResources.tenant_js),
        "defaults.js": script(PackageResources.defaults_js),
        "alerts.js": script(PackageResources.alerts_js),
        "live.js": script(PackageResources.live_js),
        "usage-limits.js": script(PackageResources.usage_limits_js),
    ]

    private static func script(_ bytes: [UInt8]) -> Asset {
        Asset("text/javascript; charset=utf-8", bytes)
    }
}
