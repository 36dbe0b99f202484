/// Finds the pages that hold a prefix, one behind the other: a page by the page before it and by its tokens.
///
/// What is found is compared token by token, and the page before by its number, which it keeps as long as anything
/// stands behind it: no two prefixes are ever taken for one another, whatever their hashes are.
struct PrefixIndex: Sendable {
  /// What a page is found by.
  private struct Link: Hashable {
    /// The page before it; -1 for the first.
    var parent: Int32
    var tokens: [Int32]
  }

  /// Full pages.
  private var full: [Link: Int32] = [:]
  /// By the page before it, a page that an ended sequence left half-filled.
  private var open: [Int32: Int32] = [:]
  /// The other way round, for all of them.
  private var links: [Int32: Link] = [:]

  func contains(_ page: Int32) -> Bool { links[page] != nil }

  /// The full page of these tokens behind another.
  func page(behind parent: Int32, _ tokens: ArraySlice<Int32>) -> Int32? {
    full[Link(parent: parent, tokens: Array(tokens))]
  }

  /// The half-filled page behind another, and its tokens.
  func openPage(behind parent: Int32) -> (page: Int32, tokens: [Int32])? {
    guard let page = open[parent], let link = links[page] else { return nil }
    return (page, link.tokens)
  }

  mutating func add(_ page: Int32, behind parent: Int32, _ tokens: ArraySlice<Int32>, isFull: Bool)
  {
    let link = Link(parent: parent, tokens: Array(tokens))
    if isFull { full[link] = page } else { open[parent] = page }
    links[page] = link
  }

  mutating func remove(_ page: Int32) {
    guard let link = links.removeValue(forKey: page) else { return }
    if full[link] == page { full[link] = nil }
    if open[link.parent] == page { open[link.parent] = nil }
  }
}
