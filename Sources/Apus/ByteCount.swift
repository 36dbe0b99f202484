/// A number of bytes, as people write and read it: `12GiB`, `800MB`, `97.6 MiB`.
public struct ByteCount: Sendable, Hashable, CustomStringConvertible {
  /// Bytes.
  public var value: Int

  /// A number of bytes.
  public init(_ value: Int) { self.value = value }

  /// What may stand behind a number, the longer ones first.
  private static let units: [(name: String, bytes: Double)] = [
    ("kib", 0x1p10), ("mib", 0x1p20), ("gib", 0x1p30), ("tib", 0x1p40), ("kb", 1e3), ("mb", 1e6),
    ("gb", 1e9), ("tb", 1e12), ("b", 1),
  ]

  /// Reads a size.
  ///
  /// - Parameter text: Bytes as a plain number, or a number with kB, MB, GB, TB (powers of 1000) or
  ///   KiB, MiB, GiB, TiB (powers of 1024), in capitals or not.
  /// - Throws: ``ApusError`` that says how sizes are written.
  public init(_ text: String) throws(ApusError) {
    let words = text.lowercased()
    let unit = Self.units.first { words.hasSuffix($0.name) }
    var digits = words.dropLast(unit?.name.count ?? 0)
    while digits.last == " " { digits.removeLast() }
    guard !digits.isEmpty, digits.allSatisfy({ $0.isASCII && ($0.isNumber || $0 == ".") }),
      let number = Double(digits), case let bytes = (number * (unit?.bytes ?? 1)).rounded(),
      bytes >= 1, bytes < 0x1p62
    else {
      throw ApusError(
        .request,
        "'\(text)' is not a size: write bytes, or a number with kB, MB, GB, TB (powers of 1000) or "
          + "KiB, MiB, GiB, TiB (powers of 1024), such as 12GiB")
    }
    value = Int(bytes)
  }

  /// With one decimal, in the largest unit of 1024 that it fills.
  public var description: String {
    var number = Double(value)
    var unit = "B"
    for larger in ["KiB", "MiB", "GiB", "TiB"] where number >= 1024 {
      number /= 1024
      unit = larger
    }
    if unit == "B" { return "\(value) B" }
    let tenths = Int((number * 10).rounded())
    return "\(tenths / 10).\(tenths % 10) \(unit)"
  }
}
