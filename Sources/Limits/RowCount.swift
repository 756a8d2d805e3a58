/// How many rows a catalogue has, known when the program is compiled: the array is named, never evaluated.
@inlinable @inline(always)
func rowCount<let count: Int, Row>(_: @autoclosure () -> InlineArray<count, Row>) -> Int { count }

/// The rows as an array.
func list<let count: Int, Row>(_ rows: InlineArray<count, Row>) -> [Row] {
    rows.indices.map { rows[$0] }
}
