/// Hands out pages of a fixed number; which memory a page means is the backend's affair.
///
/// Taking and giving back are O(1). Freed pages are reused last in, first out, so that a run of
/// requests touches little memory.
package struct PagePool: Sendable {
  /// Tokens of a page.
  package let pageTokens: Int
  package let pageCount: Int
  private var free: [Int32]

  package init(pageCount: Int, pageTokens: Int) {
    precondition(pageCount >= 0 && pageTokens > 0)
    self.pageCount = pageCount
    self.pageTokens = pageTokens
    free = (0..<Int32(pageCount)).reversed()
  }

  package var freeCount: Int { free.count }

  /// A page, or nil where none is left.
  package mutating func take() -> Int32? { free.popLast() }

  /// Takes a page back.
  package mutating func giveBack(_ page: Int32) {
    precondition(free.count < pageCount, "more pages given back than taken")
    free.append(page)
  }
}

/// The pages of one sequence, in order of tokens.
///
/// A table only grows while its tokens stay, so page numbers that went to a device stay valid.
package struct PageTable: Sendable, Hashable {
  package private(set) var pages: [Int32] = []
  package let pageTokens: Int

  package init(pageTokens: Int) { self.pageTokens = pageTokens }

  /// Makes room for `tokens` tokens.
  ///
  /// - Returns: Whether there is room now; where the pool runs out the table stays as it was.
  package mutating func reserve(_ tokens: Int, from pool: inout PagePool) -> Bool {
    let needed = (tokens + pageTokens - 1) / pageTokens - pages.count
    guard needed <= pool.freeCount else { return false }
    for _ in 0..<max(0, needed) {
      guard let page = pool.take() else { return false }
      pages.append(page)
    }
    return true
  }

  /// Gives back the pages that no token before `tokens` is in.
  package mutating func shrink(to tokens: Int, pool: inout PagePool) {
    let needed = (tokens + pageTokens - 1) / pageTokens
    while pages.count > needed, let page = pages.popLast() { pool.giveBack(page) }
  }

  /// The slot of a token: page × pageTokens + place in the page.
  package func slot(of token: Int) -> Int32 {
    pages[token / pageTokens] * Int32(pageTokens) + Int32(token % pageTokens)
  }

  /// Gives all pages back.
  package mutating func release(to pool: inout PagePool) {
    for page in pages { pool.giveBack(page) }
    pages = []
  }
}
