package import Events

/// What a mail says, before it is a mail to anybody: plain text and the same as HTML.
package struct MailMessage: Sendable, Equatable {
    package var subject: String
    /// Lines end with a line feed.
    package var text: String
    /// A whole document that refers to nothing outside of itself.
    package var html: String
    /// Whom the mail speaks for.
    package var brandName: String
    /// When what it tells of happened, Unix milliseconds.
    package var date: Int64

    package init(
        subject: String, text: String, html: String, brandName: String, date: Int64
    ) {
        self.subject = subject
        self.text = text
        self.html = html
        self.brandName = brandName
        self.date = date
    }

    /// The mail about an event. Names in it are shown without control characters.
    package init(_ event: Event, brandName: String) {
        let content = MailContent(event)
        let brand = MailText.line(brandName)
        self.init(
            subject: content.subject, text: content.text(brandName: brand),
            html: content.html(brandName: brand), brandName: brand, date: event.occurredAt)
    }
}

extension MailContent {
    func text(brandName: String) -> String {
        var lines = [summary, ""]
        let width = facts.map(\.name.count).max() ?? 0
        for fact in facts {
            let gap = String(repeating: " ", count: width - fact.name.count)
            lines.append("  \(fact.name): \(gap)\(fact.value)")
        }
        for section in sections {
            lines += ["", section.title, ""] + section.lines.map { "  - \($0)" }
        }
        lines += ["", "-- ", footer(brandName: brandName)]
        return lines.joined(separator: "\n") + "\n"
    }

    func html(brandName: String) -> String {
        let escape = MailText.escapeHTML
        var body = "<h1 style=\"font-size:1.25em\">\(escape(subject))</h1>\n"
        body += "<p>\(escape(summary))</p>\n<table cellpadding=\"4\">\n"
        for fact in facts {
            body += """
                <tr><th align="left" scope="row">\(escape(fact.name))</th>\
                <td>\(escape(fact.value))</td></tr>

                """
        }
        body += "</table>\n"
        for section in sections {
            body += "<h2 style=\"font-size:1em\">\(escape(section.title))</h2>\n<ul>\n"
            for line in section.lines { body += "<li>\(escape(line))</li>\n" }
            body += "</ul>\n"
        }
        body += "<p style=\"color:#595959\">\(escape(footer(brandName: brandName)))</p>\n"
        return """
            <!doctype html>
            <html lang="en">
            <head><meta charset="utf-8"><title>\(escape(subject))</title></head>
            <body style="font-family:sans-serif;max-width:40em">
            \(body)</body>
            </html>

            """
    }

    private func footer(brandName: String) -> String {
        "Sent by \(brandName) because of event \(eventID) (\(eventType))."
    }
}
