/// The limits of one HTTP/2 session. Every bound that a peer can press against is a number here.
package struct SessionConfiguration: Sendable {
    /// A token bucket: `burst` at once, `perSecond` more each second.
    package struct Rate: Sendable {
        package var burst: Int
        package var perSecond: Int

        package init(burst: Int, perSecond: Int) {
            self.burst = burst
            self.perSecond = perSecond
        }
    }

    /// Streams open at once, 1...65 536; announced as SETTINGS_MAX_CONCURRENT_STREAMS. A stream
    /// whose work still runs keeps its place even after the peer has reset it.
    package var maximumConcurrentStreams = 256
    /// Bytes of one stream that the peer may send ahead of their consumption.
    package var streamWindowBytes = 128 * 1024
    /// Bytes of the whole connection that may be under way to us.
    package var connectionWindowBytes = 2 * 1024 * 1024
    /// Request bytes buffered over all streams; a stream that would pass it is cut off
    /// (`StreamEvents.overflow`).
    package var maximumBufferedInputBytes = 4 * 1024 * 1024
    /// Header fields in one block, trailers included.
    package var maximumHeaderFields = 64
    /// Sum of name + value + 32 bytes over one block, as SETTINGS_MAX_HEADER_LIST_SIZE counts.
    package var maximumHeaderBytes = 8 * 1024
    /// Entries in one SETTINGS frame.
    package var maximumSettings = 32
    /// CONTINUATION frames after one HEADERS frame.
    package var maximumContinuations = 8
    /// Acknowledgements of SETTINGS and PING that may wait to be sent.
    package var maximumOutboundAcknowledgements = 128
    /// Streams the peer may reset (CVE-2023-44487); server sessions only.
    package var peerResets = Rate(burst: 512, perSecond: 64)
    /// Streams the peer may make us reset or refuse (CVE-2025-8671).
    package var ownResets = Rate(burst: 256, perSecond: 32)
    /// PING, SETTINGS, WINDOW_UPDATE, PRIORITY, empty DATA, CONTINUATION and unknown frames
    /// (CVE-2019-9511 ... 9518).
    package var controlFrames = Rate(burst: 1_000, perSecond: 200)
    /// Control frames that each DATA frame with content earns on top: gRPC peers acknowledge windows and probe the
    /// connection (PING) as often as messages come.
    package var controlFramesPerDataFrame = 4
    /// Control frames that each stream which ends well earns on top.
    package var controlFramesPerStream = 4
    /// A stream buffer above this size is given back when its stream ends.
    package var retainedBufferBytes = 4 * 1024

    package init() {}
}
