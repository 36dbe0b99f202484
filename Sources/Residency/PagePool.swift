/// Hands out pages of a fixed number; which memory a page means is the backend's affair.
///
/// A page may be published: then whoever begins with the same tokens finds it, and nobody writes into it any more.
/// Published pages that no sequence uses rest, and are taken, those that rest for longest first, when no
/// other page is free. A sequence gives its pages back from the last to the first, so a page never goes before
/// the pages behind it.
///
/// Taking and giving back are O(1). Freed pages are reused last in, first out, so that a run of
/// requests touches little memory.
package struct PagePool: Sendable {
  /// Tokens of a page.
  package let pageTokens: Int
  package let pageCount: Int
  private var free: [Int32]
  /// For each page, the sequences that use it.
  private var users: [Int32]
  private var index = PrefixIndex()
  /// Pages that rest, in the order in which they came to.
  private var resting: RecentList
  /// Where pages lie in layers that look back over a window only, or nil where none does.
  package private(set) var window: WindowPlaces?

  package init(pageCount: Int, pageTokens: Int, window: WindowPlaces? = nil) {
    precondition(pageCount >= 0 && pageTokens > 0)
    self.pageCount = pageCount
    self.pageTokens = pageTokens
    free = (0..<Int32(pageCount)).reversed()
    users = [Int32](repeating: 0, count: pageCount)
    resting = RecentList(count: pageCount)
    self.window = window
  }

  /// Pages that no sequence uses.
  package var freeCount: Int { free.count + resting.count }

  /// Those of them that hold a prefix.
  package var restingCount: Int { resting.count }

  /// A page, or nil where none is left.
  package mutating func take() -> Int32? {
    if free.isEmpty, let oldest = resting.oldest { forget(oldest) }
    guard let page = free.popLast() else { return nil }
    users[Int(page)] = 1
    window?.lose(page)
    return page
  }

  /// Takes a page back.
  package mutating func giveBack(_ page: Int32) {
    precondition(users[Int(page)] > 0, "more pages given back than taken")
    users[Int(page)] -= 1
    guard users[Int(page)] == 0 else { return }
    if index.contains(page) { resting.append(page) } else { free.append(page) }
  }

  /// Frees all pages that rest.
  package mutating func forgetResting() { while let page = resting.oldest { forget(page) } }

  private mutating func forget(_ page: Int32) {
    resting.remove(page)
    index.remove(page)
    free.append(page)
  }

  /// Publishes a full page behind another one, or behind none.
  ///
  /// - Returns: The page to use from now on: where the same tokens were published before, that one, and
  ///   the one at hand is given back.
  mutating func publish(
    _ page: Int32, behind parent: Int32?, _ tokens: ArraySlice<Int32>
  ) -> Int32 {
    precondition(tokens.count == pageTokens && users[Int(page)] == 1 && !index.contains(page))
    if let known = share(behind: parent, tokens) {
      window?.move(from: page, to: known)
      giveBack(page)
      return known
    }
    index.add(page, behind: parent ?? -1, tokens, isFull: true)
    return page
  }

  /// Gives pages that a step needs places where layers look back over a window only.
  package mutating func need(_ pages: ArraySlice<Int32>) { window?.need(pages) }

  /// The published page of these tokens behind another one, for one more user.
  mutating func share(behind parent: Int32?, _ tokens: ArraySlice<Int32>) -> Int32? {
    guard let page = index.page(behind: parent ?? -1, tokens) else { return nil }
    if users[Int(page)] == 0 { resting.remove(page) }
    users[Int(page)] += 1
    return page
  }

  /// Takes a half-filled page back with what is in it: the next one that goes on like that gets it.
  mutating func giveBack(_ page: Int32, behind parent: Int32?, holding tokens: ArraySlice<Int32>) {
    precondition(tokens.count < pageTokens && users[Int(page)] == 1 && !index.contains(page))
    // One is enough: the latest is the likeliest to be gone on with.
    if let older = index.openPage(behind: parent ?? -1) { forget(older.page) }
    if !tokens.isEmpty { index.add(page, behind: parent ?? -1, tokens, isFull: false) }
    giveBack(page)
  }

  /// Hands out the half-filled page behind another one, to be written by its only user from where its tokens and
  /// these part.
  mutating func takeOpen(
    behind parent: Int32?, _ tokens: ArraySlice<Int32>
  ) -> (page: Int32, tokens: Int)? {
    guard let open = index.openPage(behind: parent ?? -1) else { return nil }
    let common = zip(open.tokens, tokens).prefix { $0 == $1 }.count
    guard common > 0 else { return nil }
    resting.remove(open.page)
    index.remove(open.page)
    users[Int(open.page)] = 1
    return (open.page, common)
  }
}
