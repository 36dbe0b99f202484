/// The checked tokens of a vocabulary: the bytes each one stands for, its type, and the tokens that
/// text may spell out.
struct Vocabulary: Sendable {
  let texts: [String]
  let types: [TokenType]
  /// The bytes of all tokens behind one another, and where each one ends.
  private var bytes: [UInt8] = []
  private var ends: [Int] = []
  /// From the bytes of a token to its id, for those that ordinary text may become: a control token
  /// is never spelled by merging, only matched as a whole.
  private(set) var textTable: ByteTable
  private(set) var longestToken = 0
  /// The token for a raw byte, or -1.
  private(set) var byteTokens = [Int32](repeating: -1, count: 256)

  /// How a normal token's text turns into the bytes it stands for.
  enum Spelling: Sendable {
    /// GPT-2's alphabet of printable characters.
    case byteAlphabet
    /// UTF-8, with U+2581 for the space.
    case spaceMarks

    /// Appends the bytes `text` stands for; false where it is not spelled that way.
    func append(_ text: Substring, to result: inout [UInt8]) -> Bool {
      switch self {
      case .byteAlphabet:
        var text = text
        return text.withUTF8 { ByteAlphabet.append($0, to: &result) }
      case .spaceMarks:
        result.append(contentsOf: SpaceMark.unescape(Array(text.utf8)))
        return true
      }
    }
  }

  init(_ description: VocabularyDescription, spelling: Spelling) throws(TokenizationError) {
    let count = description.tokens.count
    guard count > 0 else { throw .emptyVocabulary }
    guard count <= 1 << 28, description.merges.count <= 1 << 28 else {
      throw .tooManyTokens(count: max(count, description.merges.count))
    }
    try Self.check(description.scores.count, "scores", count)
    try Self.check(description.tokenTypes.count, "token types", count)

    texts = description.tokens
    types = Self.types(description)
    textTable = ByteTable(capacity: count)
    ends.reserveCapacity(count)
    var piece: [UInt8] = []
    for (index, text) in texts.enumerated() {
      let id = Int32(index)
      piece.removeAll(keepingCapacity: true)
      switch types[index] {
      case .normal:
        // Text outside of the alphabet can be shown, but no text is spelled like that.
        if spelling.append(text[...], to: &piece) {
          add(piece, id)
        } else {
          piece.append(contentsOf: text.utf8)
        }
      case .userDefined:
        if spelling == .spaceMarks {
          _ = spelling.append(text[...], to: &piece)
        } else {
          piece.append(contentsOf: text.utf8)
        }
        add(piece, id)
      case .control, .unknown:
        piece.append(contentsOf: text.utf8)
      case .unused: break
      case .byte:
        guard let byte = Self.byte(text) else { throw .malformedByteToken(id: id, text: text) }
        piece.append(byte)
        byteTokens[Int(byte)] = id
      }
      bytes.append(contentsOf: piece)
      ends.append(bytes.count)
    }
  }

  private mutating func add(_ spelled: [UInt8], _ id: Int32) {
    textTable.insert(spelled, id: id)
    longestToken = max(longestToken, spelled.count)
  }

  private static func check(_ count: Int, _ list: String, _ tokens: Int) throws(TokenizationError) {
    guard count == 0 || count == tokens else {
      throw .countMismatch(list: list, count: count, tokens: tokens)
    }
  }

  /// Well-known markers are control tokens whatever the file says: many converters forget it.
  private static func types(_ description: VocabularyDescription) -> [TokenType] {
    description.tokens.enumerated().map { index, text in
      // To hash every text would take longer than all else here.
      if text.utf8.first == EndOfGeneration.markerStart, EndOfGeneration.markers.contains(text) {
        return .control
      }
      guard index < description.tokenTypes.count else { return .normal }
      return TokenType(rawValue: description.tokenTypes[index]) ?? .unused
    }
  }

  /// The byte that `<0x0A>` names.
  private static func byte(_ text: String) -> UInt8? {
    let utf8 = Array(text.utf8)
    guard utf8.count == 6, text.hasPrefix("<0x"), utf8[5] == UInt8(ascii: ">") else { return nil }
    // Two digits exactly: the initialiser by itself would take a sign.
    guard utf8[3] != UInt8(ascii: "+"), utf8[3] != UInt8(ascii: "-") else { return nil }
    return UInt8(text.dropFirst(3).dropLast(), radix: 16)
  }

  var count: Int { ends.count }

  func contains(_ id: Int32) -> Bool { id >= 0 && Int(id) < ends.count }

  /// The bytes of a token; empty for an id outside of the vocabulary.
  func piece(_ id: Int32) -> ArraySlice<UInt8> {
    guard contains(id) else { return [] }
    let index = Int(id)
    return bytes[(index == 0 ? 0 : ends[index - 1])..<ends[index]]
  }

  /// The token that text of exactly these bytes may become.
  func findText(_ text: ArraySlice<UInt8>) -> Int32? {
    text.count <= longestToken ? textTable.find(text) : nil
  }

  /// The type of a token; an id outside of the vocabulary counts as unused.
  func type(_ id: Int32) -> TokenType { contains(id) ? types[Int(id)] : .unused }
}

/// SentencePiece writes the space as U+2581, "▁". Here it is a plain space from the start: pieces are
/// translated once, when the vocabulary is read, instead of every text and every answer.
enum SpaceMark {
  private static let utf8: [UInt8] = [0xE2, 0x96, 0x81]

  static func unescape(_ bytes: [UInt8]) -> [UInt8] {
    guard bytes.contains(0xE2) else { return bytes }
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count)
    var index = 0
    while index < bytes.count {
      if bytes[index...].starts(with: utf8) {
        result.append(0x20)
        index += 3
      } else {
        result.append(bytes[index])
        index += 1
      }
    }
    return result
  }
}
