/// Where pages lie in layers that look back over a window only, and in the pools of the latest tokens.
///
/// The pools of these layers have places for what one step of one sequence reads and writes, and not for all that it
/// ever wrote. A page gets a place when a step needs it; the page that no step has needed for longest loses its own.
/// So what a sequence left can be gone on with as long as the window before its end still has its places.
package struct WindowPlaces: Sendable {
  /// Tokens that a row sees, itself among them.
  package let tokens: Int
  /// Whether the text is cut into windows of so many, and a row sees what its own has before it.
  package let isAligned: Bool
  /// For each page its place, or -1.
  private var places: [Int32]
  /// For each place the page that has it, or -1.
  private var pages: [Int32]
  /// Places in the order in which they were needed last; those that nobody has are first.
  private var order: RecentList

  /// - Parameters:
  ///   - count: Places that there are.
  ///   - tokens: Tokens that a row sees.
  ///   - isAligned: Whether those are of the window that it is in.
  ///   - pageCount: Pages of the layers that keep all.
  package init(count: Int, tokens: Int, isAligned: Bool = false, pageCount: Int) {
    self.tokens = tokens
    self.isAligned = isAligned
    places = [Int32](repeating: -1, count: pageCount)
    pages = [Int32](repeating: -1, count: count)
    order = RecentList(count: count)
    for place in 0..<Int32(count) { order.append(place) }
  }

  /// A page's place, or nil where it has none.
  package func place(of page: Int32) -> Int32? {
    page >= 0 && places[Int(page)] >= 0 ? places[Int(page)] : nil
  }

  /// Gives places to all of these pages, no more than there are places.
  package mutating func need(_ needed: ArraySlice<Int32>) {
    precondition(needed.count <= pages.count, "more pages than a step reads")
    // First whoever has one, or one of them would lose it to another.
    for page in needed {
      guard let place = place(of: page) else { continue }
      order.remove(place)
      order.append(place)
    }
    for page in needed where page >= 0 && places[Int(page)] < 0 {
      guard let place = order.oldest else { preconditionFailure("there is a place for each") }
      order.remove(place)
      order.append(place)
      give(place, to: page)
    }
  }

  /// Takes a page's place away: what it held is no longer what the page holds.
  mutating func lose(_ page: Int32) {
    guard let place = place(of: page) else { return }
    places[Int(page)] = -1
    pages[Int(place)] = -1
    order.remove(place)
    order.prepend(place)
  }

  /// Lets a page that holds the same as another have its place, unless it has one.
  mutating func move(from page: Int32, to other: Int32) {
    guard let place = place(of: page), self.place(of: other) == nil else { return }
    give(place, to: other)
  }

  /// Gives a place to a page, and takes it from whoever has it.
  private mutating func give(_ place: Int32, to page: Int32) {
    if pages[Int(place)] >= 0 { places[Int(pages[Int(place)])] = -1 }
    places[Int(page)] = place
    pages[Int(place)] = page
  }

  /// Which of a sequence's pages the row of token `count` reads besides its own token's.
  package static func seen(
    behind count: Int, window: Int, isAligned: Bool, pageTokens: Int
  ) -> Range<Int> {
    let end = (count + pageTokens - 1) / pageTokens
    let begin = isAligned ? count / window * window : max(0, count + 1 - window)
    return min(end, begin / pageTokens)..<end
  }

  /// The same for these windows.
  func seen(behind count: Int, pageTokens: Int) -> Range<Int> {
    Self.seen(behind: count, window: tokens, isAligned: isAligned, pageTokens: pageTokens)
  }

  /// Where a step ends at the latest that begins behind so many tokens.
  package func stepEnd(behind count: Int, pageTokens: Int) -> Int {
    isAligned ? count / tokens * tokens + pages.count * pageTokens : .max
  }

  /// How many of a sequence's first tokens can be gone on behind, no more than `count`.
  func intact(_ table: [Int32], _ count: Int, pageTokens: Int) -> Int {
    var count = count
    while count > 0 {
      let seen = seen(behind: count, pageTokens: pageTokens)
      guard let missing = seen.last(where: { place(of: table[$0]) == nil }) else { break }
      count = missing * pageTokens
    }
    return count
  }
}
