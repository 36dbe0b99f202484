/// GPT-2's words: `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)`.
struct GPT2Pass: TextPass {
  func match(_ text: ScalarText, _ start: Int, _ end: Int) -> Int {
    let contraction = Contraction.end(text, start, end, anyCase: false)
    if contraction > start { return contraction }

    // One space may lead a run of letters, of numbers or of the rest.
    let first = text.scalars[start] == 0x20 && start + 1 < end ? start + 1 : start
    let kind = text.classes[first]
    if !kind.meets(.space) {
      let group: CharacterClass =
        kind.meets(.letter) ? .letter : kind.meets(.number) ? .number : []
      var position = first + 1
      if group.isEmpty {
        while position < end, !text.classes[position].meets([.space, .letter, .number]) {
          position += 1
        }
      } else {
        while position < end, text.classes[position].meets(group) { position += 1 }
      }
      return position
    }

    var position = start
    while position < end, text.classes[position].meets(.space) { position += 1 }
    // The last space of a run belongs to the word behind it.
    return position == end ? end : position - start > 1 ? position - 1 : start
  }
}

/// The English contractions that many vocabularies keep whole.
enum Contraction {
  /// Where `'s 't 'm 'd 're 've 'll` ends if one begins at `start`, otherwise `start`.
  static func end(_ text: ScalarText, _ start: Int, _ end: Int, anyCase: Bool) -> Int {
    guard text.scalars[start] == 0x27, start + 1 < end else { return start }
    let fold: UInt32 = anyCase ? 0x20 : 0
    func letter(_ position: Int) -> UInt32 {
      let scalar = text.scalars[position]
      return scalar < 0x80 && text.classes[position].meets(.upper) ? scalar | fold : scalar
    }
    switch letter(start + 1) {
    case 0x73, 0x74, 0x6D, 0x64: return start + 2  // s t m d
    case 0x72, 0x76:  // r v, then e
      return start + 2 < end && letter(start + 2) == 0x65 ? start + 3 : start
    case 0x6C:  // l, then l
      return start + 2 < end && letter(start + 2) == 0x6C ? start + 3 : start
    default: return start
    }
  }
}
