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
    /// Header fields in one block, trailers included. A request with more is refused (`RequestHead.isTooLarge`).
    package var maximumHeaderFields = 64
    /// Sum of name + value + 32 bytes over one block, as SETTINGS_MAX_HEADER_LIST_SIZE counts.
    package var maximumHeaderBytes = 8 * 1024
    /// The same bounds beyond which the connection ends, in the middle of the block; server sessions only.
    package var fatalHeaderFields = 128
    package var fatalHeaderBytes = 64 * 1024
    /// Bytes of header fields, counted in the same way, that one call of `receive` or `resume` takes in before it stops
    /// (`ServerSession.isPaused`); server sessions only, and a quarter of it before `trust`. A byte on the wire may stand
    /// for a field of 4 KiB.
    package var turnHeaderBytes = 64 * 1024
    /// Entries in one SETTINGS frame.
    package var maximumSettings = 32
    /// CONTINUATION frames after one HEADERS frame.
    package var maximumContinuations = 8
    /// Acknowledgements of SETTINGS and PING that may wait to be sent; beyond, nghttp2 ends the connection without a word.
    /// One read has fewer such frames, so that `controlFrames` decides, and says so.
    package var maximumOutboundAcknowledgements = 2_048
    /// Streams the peer may reset (CVE-2023-44487), but for those of a trusted peer that are being worked on or answered
    /// in part; server sessions only.
    package var peerResets = Rate(burst: 512, perSecond: 64)
    /// Resets, and as many refusals, that each stream which ends well earns on top: whoever has its calls answered may
    /// also cancel some.
    package var resetsPerStream = 4
    /// DATA frames with content, and HEADERS, on streams that are closed, of which a few are always under way; server
    /// sessions only.
    package var strayFrames = Rate(burst: 16, perSecond: 1)
    /// Such frames that each stream which we end before the peer has earns on top.
    package var strayFramesPerEarlyEnd = 256
    /// Streams the peer may make us reset or refuse (CVE-2025-8671): for their size, or since nobody knows whose they are;
    /// and those that are served all the same.
    package var ownResets = Rate(burst: 256, perSecond: 32)
    /// PING, SETTINGS, WINDOW_UPDATE, PRIORITY, empty DATA, CONTINUATION and unknown frames
    /// (CVE-2019-9511 ... 9518).
    package var controlFrames = Rate(burst: 1_000, perSecond: 200)
    /// Control frames that each DATA frame with content earns on top: gRPC peers acknowledge windows and probe the
    /// connection (PING) as often as messages come.
    package var controlFramesPerDataFrame = 4
    /// Control frames that each stream which ends well earns on top.
    package var controlFramesPerStream = 4
    /// What a stream's buffer has beyond this size is given back when three quarters of it are empty, and when the stream
    /// ends.
    package var retainedBufferBytes = 4 * 1024

    package init() {}
}
