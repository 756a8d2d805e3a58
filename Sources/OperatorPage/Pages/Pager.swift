/// Which part of a list is shown, and the ways to its neighbours.
enum Pager {
    /// - Parameters:
    ///   - number: of the page, from 1.
    ///   - link: to another page.
    static func fields(
        label: String, number: Int, size: Int, total: Int, _ link: (Int) -> String
    ) -> Fields {
        let first = (number - 1) * size + 1
        let last = min(number * size, total)
        return [
            "label": label,
            "summary": first > total
                ? "No more entries after \(Texts.count(Int64(total)))"
                : "\(Texts.count(Int64(first)))–\(Texts.count(Int64(last))) of \(Texts.count(Int64(total)))",
            "previous": number > 1 ? link(number - 1) : nil,
            "next": last < total ? link(number + 1) : nil,
        ]
    }
}

/// One of a select's options.
func option(_ value: String, _ label: String, selected: String) -> Fields {
    ["value": value, "label": label, "selected": value == selected]
}
