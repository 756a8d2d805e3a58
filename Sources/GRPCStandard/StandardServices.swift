package import GRPCServer
internal import Wire

/// What a server has beside its own service: health checks, and reflection unless it is switched off.
///
/// Thread safety: any thread; what `set` makes belongs to its event loop.
package struct StandardServices: Sendable {
    /// How the services stand.
    package let health: HealthBoard
    private let mainMethods: [MethodDescriptor]
    /// nil: there is no reflection.
    private let index: DescriptorIndex?

    /// - Parameters:
    ///   - main: the full name of the server's own service, which serves only while the process is ready, and its methods.
    ///   - reflection: descriptors are told.
    package init(main: String, methods: [MethodDescriptor], reflection: Bool) {
        var services = [
            ServingStatuses.Service("", needsReadiness: true),
            ServingStatuses.Service(main, needsReadiness: true),
            ServingStatuses.Service(HealthService.name, needsReadiness: false),
        ]
        if reflection {
            services += ReflectionService.names.map {
                ServingStatuses.Service($0, needsReadiness: false)
            }
        }
        health = HealthBoard(services)
        mainMethods = methods
        index = reflection ? Self.index : nil
    }

    /// The descriptors are compiled in.
    private static var index: DescriptorIndex {
        guard let index = DescriptorIndex(ContractDescriptor.fileDescriptorSet) else {
            preconditionFailure("the descriptors that were compiled in cannot be read")
        }
        return index
    }

    /// All methods of the server, the main service's first.
    package var methods: [MethodDescriptor] {
        mainMethods + HealthService.methods + (index == nil ? [] : ReflectionService.methods)
    }

    /// The main service together with these, on one event loop.
    package func set(_ main: any GRPCService, loop: ServerLoop) -> any GRPCService {
        var others: [(service: any GRPCService, methods: [MethodDescriptor])] = [
            (
                HealthService(health, firstMethod: mainMethods.count, loop: loop),
                HealthService.methods
            )
        ]
        if let index { others.append((ReflectionService(index), ReflectionService.methods)) }
        return ServiceSet(main, methods: mainMethods, others: others)
    }
}
