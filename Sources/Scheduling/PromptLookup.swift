/// What may follow a text, by what followed its last tokens where they occurred before (prompt lookup,
/// Saxena, 2023). A guess costs nothing but a look into a table, and holds where a text repeats itself.
package struct PromptLookup: Sendable {
  /// How many tokens have to occur before, at least: fewer are followed by too many things.
  package static let shortest = 2
  /// How many are looked for first.
  package static let longest = 4

  /// The tokens so far.
  package private(set) var tokens: [Int32] = []
  /// Where runs of tokens ended last, of those that something follows. Shorter runs have -1 in front, which
  /// is no token.
  private var ends: [SIMD4<Int32>: Int] = [:]

  package init() {}

  /// Goes on with a token; the work does not depend on how many there are.
  package mutating func append(_ token: Int32) {
    for length in Self.shortest...Self.longest where length <= tokens.count {
      ends[lastTokens(length)] = tokens.count
    }
    tokens.append(token)
  }

  /// What followed the longest run of last tokens that occurred before, where it did so last.
  ///
  /// - Parameter count: Tokens to propose.
  /// - Returns: So many tokens, or none where nothing occurred before. What follows may reach into the last
  ///   tokens themselves: then the text is taken to go on in circles.
  package func propose(_ count: Int) -> [Int32] {
    guard count > 0 else { return [] }
    for length in (Self.shortest...Self.longest).reversed() where length <= tokens.count {
      guard let end = ends[lastTokens(length)] else { continue }
      var proposed: [Int32] = []
      for place in end..<end + count {
        proposed.append(place < tokens.count ? tokens[place] : proposed[place - tokens.count])
      }
      return proposed
    }
    return []
  }

  private func lastTokens(_ length: Int) -> SIMD4<Int32> {
    var run = SIMD4<Int32>(repeating: -1)
    for place in 1...length { run[4 - place] = tokens[tokens.count - place] }
    return run
  }
}
