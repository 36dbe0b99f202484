/// One file of a cache.
///
/// ```
/// offset  bytes
///      0      8  magic
///      8      4  version
///     12      4  bytes of the label
///     16      8  bytes of the content
///     24     32  key
///     56     32  SHA-256 of everything before and behind this field
///     88         label (UTF-8), content, and nothing behind
/// ```
///
/// Numbers are little-endian.
struct CacheEntry {
  /// What asks for it.
  var key: CacheKey
  /// Lines for people.
  var label: String
  var content: [UInt8]

  static let magic = Array("apus\u{1A}\r\n\0".utf8)
  /// The layout of the file. What its content means is a matter of the key.
  static let version: UInt32 = 1
  static let headerBytes = 88
  private static let digestOffset = 56
  /// No label is longer, so that a listing reads little of a file.
  static let longestLabel = 4096

  /// The bytes of the file.
  var encoded: [UInt8] {
    var label = Array(self.label.utf8)
    if label.count > Self.longestLabel { label = [] }
    var head = Self.magic
    withUnsafeBytes(of: Self.version.littleEndian) { head += $0 }
    withUnsafeBytes(of: UInt32(label.count).littleEndian) { head += $0 }
    withUnsafeBytes(of: UInt64(content.count).littleEndian) { head += $0 }
    head += key.bytes
    let rest = label + content
    return head + SHA256.digest(head + rest) + rest
  }

  /// What the start of a file says, or nil where it is no entry of this version.
  struct Header {
    var key: CacheKey
    var labelBytes: Int
    var contentBytes: Int

    init?(_ bytes: [UInt8]) {
      guard bytes.count >= CacheEntry.headerBytes, bytes.starts(with: CacheEntry.magic) else {
        return nil
      }
      func number(_ offset: Int, _ count: Int) -> UInt64 {
        bytes[offset..<offset + count].reversed().reduce(0) { $0 << 8 | UInt64($1) }
      }
      guard number(8, 4) == UInt64(CacheEntry.version),
        let labelBytes = Int(exactly: number(12, 4)), labelBytes <= CacheEntry.longestLabel,
        let contentBytes = Int(exactly: number(16, 8)), contentBytes <= Int.max / 2,
        let key = CacheKey(Array(bytes[24..<56]))
      else { return nil }
      self.key = key
      self.labelBytes = labelBytes
      self.contentBytes = contentBytes
    }

    /// Bytes of the file that it begins.
    var fileBytes: Int { CacheEntry.headerBytes + labelBytes + contentBytes }
  }

  init(key: CacheKey, label: String, content: [UInt8]) {
    self.key = key
    self.label = label
    self.content = content
  }

  /// Reads a whole file; nil unless every byte of it is as it was written.
  init?(_ bytes: [UInt8]) {
    guard let header = Header(bytes), header.fileBytes == bytes.count else { return nil }
    let rest = bytes[Self.headerBytes...]
    let digest = Array(bytes[Self.digestOffset..<Self.headerBytes])
    guard SHA256.digest(Array(bytes[..<Self.digestOffset]) + rest) == digest else { return nil }
    key = header.key
    label = String(decoding: rest.prefix(header.labelBytes), as: UTF8.self)
    content = Array(rest.dropFirst(header.labelBytes))
  }
}

/// What an entry is found by: a digest of everything that its content depends on.
package struct CacheKey: Sendable, Hashable {
  let bytes: [UInt8]

  init?(_ bytes: [UInt8]) {
    guard bytes.count == 32 else { return nil }
    self.bytes = bytes
  }

  /// The key of several texts; where one ends and the next begins makes a difference.
  package init(_ parts: [String]) {
    var all: [UInt8] = []
    for part in parts {
      let text = Array(part.utf8)
      withUnsafeBytes(of: UInt64(text.count).littleEndian) { all += $0 }
      all += text
    }
    bytes = SHA256.digest(all)
  }

  /// The name of the entry's file.
  package var fileName: String { SHA256.hexadecimal(bytes) + Self.ending }
  package static let ending = ".entry"
}
