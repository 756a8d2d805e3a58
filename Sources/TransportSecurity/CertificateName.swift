internal import SwiftASN1
internal import X509

/// A distinguished name in a form that can be compared: as RFC 4514 writes it, most specific part first, without regard
/// to case and runs of spaces.
package struct CertificateName: Hashable, Sendable {
    /// Of each part its attributes, `OID=value`, sorted.
    private let parts: [[String]]

    init(_ name: DistinguishedName) {
        parts = name.reversed().map { part in
            part.map { attribute in
                let value =
                    String(attribute.value).map(Self.folded) ?? Self.encoded(attribute.value)
                return "\(attribute.type)=\(value)"
            }.sorted()
        }
    }

    /// nil: the text is no name as RFC 4514 writes it, like `CN=Test CA,O=Example`.
    package init?(_ text: String) {
        guard let parts = Self.parse(text) else { return nil }
        self.parts = parts
    }

    private static let types = [
        "cn": "2.5.4.3", "commonname": "2.5.4.3", "sn": "2.5.4.4", "serialnumber": "2.5.4.5",
        "c": "2.5.4.6", "countryname": "2.5.4.6", "l": "2.5.4.7", "localityname": "2.5.4.7",
        "st": "2.5.4.8", "stateorprovincename": "2.5.4.8", "street": "2.5.4.9",
        "o": "2.5.4.10", "organizationname": "2.5.4.10", "ou": "2.5.4.11",
        "organizationalunitname": "2.5.4.11", "title": "2.5.4.12", "gn": "2.5.4.42",
        "dc": "0.9.2342.19200300.100.1.25", "uid": "0.9.2342.19200300.100.1.1",
        "emailaddress": "1.2.840.113549.1.9.1", "e": "1.2.840.113549.1.9.1",
    ]

    private static func folded(_ value: String) -> String {
        value.lowercased().split(separator: " ").joined(separator: " ")
    }

    /// A value that is no text.
    private static func encoded(_ value: RelativeDistinguishedName.Attribute.Value) -> String {
        var serializer = DER.Serializer()
        try? serializer.serialize(ASN1Any(value))
        return "#" + HexText.text(serializer.serializedBytes)
    }

    private static func parse(_ text: String) -> [[String]]? {
        var parts: [[String]] = []
        var part: [String] = []
        var rest = Array(text.utf8)[...]
        while true {
            guard let equals = rest.firstIndex(of: UInt8(ascii: "=")),
                let type = type(String(decoding: rest[..<equals], as: UTF8.self))
            else { return nil }
            rest = rest[(equals + 1)...]
            guard let value = value(&rest) else { return nil }
            part.append("\(type)=\(value)")
            let separator = rest.popFirst()
            if separator == UInt8(ascii: "+") { continue }
            parts.append(part.sorted())
            part = []
            if separator == nil { return parts }
        }
    }

    private static func type(_ name: String) -> String? {
        let name = folded(name)
        if let type = types[name] { return type }
        let isNumber = name.split(separator: ".", omittingEmptySubsequences: false).allSatisfy {
            UInt64($0) != nil
        }
        return isNumber && name.contains(".") ? name : nil
    }

    /// Takes a value off, up to the separator behind it.
    private static func value(_ rest: inout ArraySlice<UInt8>) -> String? {
        var bytes: [UInt8] = []
        let isEncoded = rest.first == UInt8(ascii: "#")
        while let byte = rest.first, byte != UInt8(ascii: ","), byte != UInt8(ascii: "+") {
            rest.removeFirst()
            if byte == UInt8(ascii: "\"") { return nil }
            guard byte == UInt8(ascii: "\\") else {
                bytes.append(byte)
                continue
            }
            if rest.count >= 2, let byte = HexText.bytes(rest.prefix(2))?.first {
                bytes.append(byte)
                rest = rest.dropFirst(2)
            } else if let byte = rest.popFirst() {
                bytes.append(byte)
            } else {
                return nil
            }
        }
        guard let text = String(validating: bytes, as: UTF8.self) else { return nil }
        return isEncoded ? text.lowercased() : folded(text)
    }
}

/// Bytes as hexadecimal digits.
enum HexText {
    static func text(_ bytes: some Sequence<UInt8>) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// nil: these are no pairs of digits. Colons between them are passed over.
    static func bytes(_ digits: some Sequence<UInt8>) -> [UInt8]? {
        var bytes: [UInt8] = []
        var high: UInt8?
        for digit in digits where digit != UInt8(ascii: ":") {
            guard let value = Character(Unicode.Scalar(digit)).hexDigitValue.map(UInt8.init) else {
                return nil
            }
            if let half = high {
                bytes.append(half << 4 | value)
                high = nil
            } else {
                high = value
            }
        }
        return high == nil && !bytes.isEmpty ? bytes : nil
    }
}
