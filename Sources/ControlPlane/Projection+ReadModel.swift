package import Projection

extension Projection: ReadModel {}
