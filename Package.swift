// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

/// The core's step points exist in debug builds only: a release build contains none of their code.
let stepPoints: [SwiftSetting] = [.define("STEP_POINTS", .when(configuration: .debug))]

/// What the operator's page is made of; compiled into the executable.
let pageResources = [
    "alerts.mustache", "alone.mustache", "audit.mustache", "audit-table.mustache", "bar.mustache",
    "chip.mustache", "defaults.mustache", "layout.mustache", "limit-fields.mustache",
    "live.mustache", "login.mustache", "mark.mustache", "message.mustache", "pager.mustache",
    "suspended.mustache", "tenant.mustache", "tenant-dialogs.mustache", "tokens.mustache",
    "usage-limits.mustache",
    "page.css", "icon.svg", "page.js", "tenants.js", "tenant.js", "defaults.js", "alerts.js",
    "live.js", "usage-limits.js",
]

let package = Package(
    name: "tollgate",
    products: [
        .library(name: "TollgateClient", targets: ["TollgateClient"]),
        .executable(name: "tollgate", targets: ["tollgate"]),
        .executable(name: "tollgate-loadtest", targets: ["tollgate-loadtest"]),
        .executable(name: "tollgate-benchmarks", targets: ["tollgate-benchmarks"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-asn1", from: "1.7.0"),
        .package(url: "https://github.com/apple/swift-certificates", from: "1.21.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.0"),
        .package(
            url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: ["YAML"]),
        .package(url: "https://github.com/apple/swift-distributed-tracing", from: "1.7.3"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.0"),
        .package(url: "https://github.com/hummingbird-project/swift-mustache", from: "2.1.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.0"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        // System libraries: a module map and a shim each, nothing else.
        .systemLibrary(
            name: "CNGHTTP2", pkgConfig: "libnghttp2", providers: [.apt(["libnghttp2-dev"])]),
        .systemLibrary(
            name: "CProtobufC", pkgConfig: "libprotobuf-c",
            providers: [.apt(["libprotobuf-c-dev"])]),
        .systemLibrary(
            name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CLinux"),
        .target(name: "CTollgate", dependencies: ["CProtobufC"]),

        // The core: no I/O, no Foundation.
        .target(name: "Telemetry", swiftSettings: strict),
        .target(name: "Threads", dependencies: ["CLinux"], swiftSettings: strict),
        .target(name: "Notation", swiftSettings: strict),
        .target(name: "Limits", swiftSettings: strict),
        .target(name: "JSON", dependencies: ["Limits", "Notation"], swiftSettings: strict),
        .target(
            name: "BillingCalendar", dependencies: ["Limits", "Notation"], swiftSettings: strict),
        .target(
            name: "Journal", dependencies: ["Limits", "CLinux", "Telemetry", "Threads"],
            swiftSettings: strict + stepPoints),
        .target(
            name: "Reservations", dependencies: ["Limits", "Journal"],
            swiftSettings: strict + stepPoints),
        .target(
            name: "Engine",
            dependencies: [
                "Limits", "BillingCalendar", "JSON", "Reservations", "Journal", "Telemetry",
                "CLinux", "Notation", "Threads",
            ],
            swiftSettings: strict + stepPoints),

        // What the service says of itself, and of its calls.
        .target(
            name: "LogLines",
            dependencies: [
                "JSON", "Notation", .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: strict),
        .target(
            name: "Observation",
            dependencies: [
                "JSON", "Limits", "LogLines", "Notation",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Tracing", package: "swift-distributed-tracing"),
            ], swiftSettings: strict),

        // What peers may take, on either port.
        .target(name: "Admission", dependencies: ["CLinux"], swiftSettings: strict),

        // TLS on either port.
        .target(
            name: "TransportSecurity",
            dependencies: [
                "Admission", "LogLines", "Notation",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "NIOTLS", package: "swift-nio"),
                .product(name: "SwiftASN1", package: "swift-asn1"),
                .product(name: "X509", package: "swift-certificates"),
            ], swiftSettings: strict),

        // Whether a server that was called is who it should be.
        .target(
            name: "ServerTrust",
            dependencies: [
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ], swiftSettings: strict),

        // The wire.
        .target(name: "HTTP2", dependencies: ["CNGHTTP2", "Telemetry"], swiftSettings: strict),
        .target(name: "Gzip", dependencies: ["CZlib"], swiftSettings: strict),
        .target(
            name: "Wire", dependencies: ["CTollgate", "Limits"], swiftSettings: strict
        ),
        .target(
            name: "GRPCServer",
            dependencies: [
                "Access", "Admission", "Gzip", "HTTP2", "Wire", "Engine", "Limits", "Observation",
                "Telemetry", "Threads", "TransportSecurity",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ], swiftSettings: strict),
        .target(
            name: "GRPCStandard",
            dependencies: [
                "GRPCServer", "Wire", .product(name: "NIOCore", package: "swift-nio"),
            ], swiftSettings: strict),
        .target(
            name: "TollgateClient",
            dependencies: [
                "Gzip", "HTTP2", "Limits", "ServerTrust", "Wire",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "NIOTLS", package: "swift-nio"),
            ], swiftSettings: strict),

        // The control plane.
        .target(name: "Events", dependencies: ["Limits"], swiftSettings: strict),
        .target(
            name: "Access",
            dependencies: [
                "Engine", "JSON", "Limits", "Notation",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "CryptoExtras", package: "swift-crypto"),
            ], swiftSettings: strict),
        .target(
            name: "Projection",
            dependencies: [
                "Access", "CLinux", "Engine", "Events", "JSON", "Journal", "Limits", "Notation",
                "Threads", .product(name: "GRDB", package: "GRDB.swift"),
            ], swiftSettings: strict),
        .target(
            name: "Notifications",
            dependencies: [
                "Admission", "CCurl", "Events", "JSON", "Limits", "LogLines", "Notation",
                "ServerTrust", "Threads",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ], swiftSettings: strict),
        .target(
            name: "ControlPlane",
            dependencies: [
                "Access", "Admission", "BillingCalendar", "Engine", "Events", "JSON", "Limits",
                "LogLines", "Notation", "Notifications", "Observation", "Projection", "Telemetry",
                "Threads", "TransportSecurity",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "Tracing", package: "swift-distributed-tracing"),
            ],
            resources: [.embedInCode("Resources/errors.json")],
            swiftSettings: strict),
        .target(
            name: "OperatorPage",
            dependencies: [
                "Access", "ControlPlane", "Engine", "Events", "JSON", "Limits", "LogLines",
                "Notation", "Projection", "Telemetry",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Mustache", package: "swift-mustache"),
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            resources: pageResources.map { .embedInCode("Resources/\($0)") },
            swiftSettings: strict),

        // Copies of the data directory.
        .target(
            name: "Backup",
            dependencies: [
                "CLinux", "Engine", "JSON", "Journal", "Notation",
                .product(name: "Crypto", package: "swift-crypto"),
            ], swiftSettings: strict),

        // The command and the tools.
        .target(
            name: "CommandIO",
            dependencies: [
                "Threads", .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),
        .target(
            name: "LimitsFile",
            dependencies: [
                "BillingCalendar", "CommandIO", "Limits", .product(name: "Yams", package: "Yams"),
            ], swiftSettings: strict),
        .executableTarget(
            name: "tollgate",
            dependencies: [
                "Access", "Admission", "Backup", "CLinux", "CommandIO", "ControlPlane", "Engine",
                "Events", "GRPCServer", "GRPCStandard", "HTTP2", "JSON", "Journal", "Limits",
                "LimitsFile", "LogLines", "Notation", "Notifications", "Observation",
                "OperatorPage", "Projection", "Reservations", "ServerTrust", "Telemetry",
                "Threads", "TollgateClient", "TransportSecurity",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Configuration", package: "swift-configuration"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "Yams", package: "Yams"),
            ], swiftSettings: strict),
        .executableTarget(
            name: "tollgate-loadtest",
            dependencies: [
                "CommandIO", "JSON", "TollgateClient", "Wire",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Histogram", package: "hdrhistogram-swift"),
                .product(name: "NIOCore", package: "swift-nio"),
            ], path: "Tools/LoadTest", swiftSettings: strict),
        .executableTarget(
            name: "tollgate-benchmarks",
            dependencies: [
                "CommandIO", "Engine", "JSON", "Journal", "Limits", "Projection", "Reservations",
                "Threads", "Wire",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "GRDB", package: "GRDB.swift"),
            ], path: "Tools/Benchmarks", swiftSettings: strict),
        // No part of the product: what gRPC's own test clients ask for, on its transport.
        .executableTarget(
            name: "tollgate-interop",
            dependencies: [
                "CommandIO", "GRPCServer", "HTTP2", "TransportSecurity",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
            ], path: "Tools/Interop", exclude: ["Protos", "clients"], swiftSettings: strict),

        .target(
            name: "TestKit",
            dependencies: ["BillingCalendar", "Engine", "Limits", "Journal"],
            swiftSettings: strict),
        .target(
            name: "Simulator",
            dependencies: ["Engine", "Journal", "Reservations", "Limits", "TestKit"],
            swiftSettings: strict + stepPoints),
        .testTarget(
            name: "SimulatorTests",
            dependencies: ["Simulator", "Journal", "TestKit"],
            swiftSettings: strict + stepPoints),
        .testTarget(
            name: "TestKitTests",
            dependencies: [
                "BillingCalendar", "TestKit", "Engine", "Reservations", "Journal", "Limits",
            ],
            swiftSettings: strict + stepPoints),
        .testTarget(name: "TelemetryTests", dependencies: ["Telemetry"], swiftSettings: strict),
        .testTarget(name: "ThreadsTests", dependencies: ["Threads"], swiftSettings: strict),
        .testTarget(name: "NotationTests", dependencies: ["Notation"], swiftSettings: strict),
        .testTarget(
            name: "JSONTests", dependencies: ["JSON", "Limits", "Notation"], swiftSettings: strict),
        .testTarget(
            name: "LimitsTests", dependencies: ["Limits"], swiftSettings: strict),
        .testTarget(
            name: "BillingCalendarTests", dependencies: ["BillingCalendar", "Limits", "Notation"],
            swiftSettings: strict),
        .testTarget(
            name: "JournalTests", dependencies: ["Journal", "Limits", "TestKit"],
            swiftSettings: strict + stepPoints),
        .testTarget(
            name: "ReservationsTests", dependencies: ["Reservations", "Limits"],
            swiftSettings: strict + stepPoints),
        .testTarget(
            name: "EngineTests",
            dependencies: ["Engine", "Reservations", "Journal", "Limits", "TestKit"],
            swiftSettings: strict + stepPoints),
        .testTarget(
            name: "LogLinesTests",
            dependencies: [
                "JSON", "LogLines", .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: strict),
        .testTarget(
            name: "ObservationTests",
            dependencies: [
                "JSON", "Limits", "LogLines", "Observation",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Tracing", package: "swift-distributed-tracing"),
            ], swiftSettings: strict),
        .testTarget(name: "AdmissionTests", dependencies: ["Admission"], swiftSettings: strict),
        .testTarget(
            name: "TransportSecurityTests",
            dependencies: [
                "TransportSecurity",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "SwiftASN1", package: "swift-asn1"),
                .product(name: "X509", package: "swift-certificates"),
            ], swiftSettings: strict),
        .testTarget(
            name: "HTTP2Tests", dependencies: ["HTTP2", "CNGHTTP2"], swiftSettings: strict),
        .testTarget(name: "GzipTests", dependencies: ["Gzip"], swiftSettings: strict),
        .testTarget(
            name: "WireTests", dependencies: ["Wire", "CProtobufC", "Limits"],
            swiftSettings: strict),
        .testTarget(
            name: "GRPCServerTests",
            dependencies: [
                "Access", "Admission", "Gzip", "GRPCServer", "GRPCStandard", "HTTP2", "Engine",
                "Reservations", "Limits", "Telemetry", "Wire", "Journal", "TestKit",
                "TransportSecurity", "JSON", "LogLines", "Observation",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ], swiftSettings: strict),
        .testTarget(
            name: "TollgateClientTests",
            dependencies: [
                "Gzip", "HTTP2", "Limits", "ServerTrust", "TollgateClient", "Wire",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "SwiftASN1", package: "swift-asn1"),
                .product(name: "X509", package: "swift-certificates"),
            ], swiftSettings: strict),
        .testTarget(name: "CommandIOTests", dependencies: ["CommandIO"], swiftSettings: strict),
        .testTarget(
            name: "LimitsFileTests", dependencies: ["LimitsFile", "Limits"], swiftSettings: strict),
        .testTarget(
            name: "AccessTests",
            dependencies: [
                "Access", "Engine", "JSON", "Limits", "Reservations",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "CryptoExtras", package: "swift-crypto"),
            ], swiftSettings: strict),
        .testTarget(
            name: "ProjectionTests",
            dependencies: [
                "Access", "Events", "Projection", "Engine", "Journal", "Limits", "Reservations",
                "TestKit",
                .product(name: "GRDB", package: "GRDB.swift"),
            ], swiftSettings: strict + stepPoints),
        .testTarget(
            name: "BackupTests",
            dependencies: ["Backup", "Engine", "Journal", "Limits", "TestKit"],
            swiftSettings: strict + stepPoints),
        .testTarget(
            name: "NotificationsTests",
            dependencies: [
                "Events", "JSON", "Limits", "Notifications",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "SwiftASN1", package: "swift-asn1"),
                .product(name: "X509", package: "swift-certificates"),
            ], swiftSettings: strict),
        .testTarget(
            name: "OperatorPageTests",
            dependencies: [
                "Access", "ControlPlane", "Engine", "Events", "Limits", "OperatorPage",
                "Projection", "Telemetry",
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "NIOCore", package: "swift-nio"),
            ], swiftSettings: strict),
        .testTarget(
            name: "ControlPlaneTests",
            dependencies: [
                "Notifications",
                "Access", "Admission", "ControlPlane", "Engine", "Events", "JSON", "Limits",
                "LogLines", "Observation", "Projection", "Reservations", "Telemetry",
                "TransportSecurity",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdTesting", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "Tracing", package: "swift-distributed-tracing"),
            ], swiftSettings: strict),
        .testTarget(
            name: "TollgateTests",
            dependencies: [
                "Engine", "GRPCServer", "JSON", "Limits", "LimitsFile", "Telemetry", "tollgate",
                "TransportSecurity",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: strict),
        .testTarget(
            name: "LoadTestTests",
            dependencies: [
                "TollgateClient", "tollgate-loadtest",
            ], swiftSettings: strict),
    ],
    swiftLanguageModes: [.v6]
)

// Tools/Core, Tools/lib/verify/threads and Tools/Fuzz have this same manifest and these same sources, and build a part of
// them in seconds, without any other package: what the sanitizers and the fuzzer look at.
//   SWIFT_BACKTRACE=enable=no swift test --package-path Tools/Core --sanitize=address

/// The core and the wire, with their tests.
let core: Set = [
    "CNGHTTP2", "CProtobufC", "CLinux", "CZlib", "CTollgate", "Telemetry", "Threads", "Notation",
    "Limits", "JSON",
    "BillingCalendar", "Journal", "Reservations", "Engine", "Admission", "Gzip", "HTTP2", "Wire",
    "TestKit", "Simulator",
]
/// HTTP2 and Wire belong to one thread each, and the compiler (6.3.1) cannot build HTTP2 with the thread sanitizer
/// ("Invalid bitcast").
let ofOneThread: Set = ["CNGHTTP2", "CProtobufC", "CTollgate", "HTTP2", "Wire"]

@MainActor
func keepOnly(_ names: Set<String>) {
    package.targets.removeAll { target in
        !names.contains(target.isTest ? String(target.name.dropLast("Tests".count)) : target.name)
    }
    package.products = []
    package.dependencies = []
}

/// libFuzzer brings `main`.
func fuzzTarget(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(
        name: "Fuzz\(name)", dependencies: ["Kit"] + dependencies, path: "Targets/\(name)",
        swiftSettings: strict + [.unsafeFlags(["-parse-as-library"])])
}

if Context.packageDirectory.hasSuffix("/Tools/Core") { keepOnly(core) }
if Context.packageDirectory.hasSuffix("/Tools/lib/verify/threads") {
    keepOnly(core.subtracting(ofOneThread))
}
// `Tools/verify --only fuzz` builds and runs them.
if Context.packageDirectory.hasSuffix("/Tools/Fuzz") {
    keepOnly(core.subtracting(["Admission", "CZlib", "Gzip", "Simulator"]))
    package.targets.removeAll { $0.isTest }
    package.targets += [
        .target(name: "Kit", path: "Targets/Kit", swiftSettings: strict),
        fuzzTarget("Record", ["Journal", "Limits"]),
        fuzzTarget("Journal", ["Journal", "TestKit"]),
        fuzzTarget("Session", ["HTTP2"]),
        fuzzTarget("Wire", ["Wire", "Limits"]),
        fuzzTarget("Money", ["Limits"]),
        fuzzTarget("JSON", ["JSON"]),
    ]
}
