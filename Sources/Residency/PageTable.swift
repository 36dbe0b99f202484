/// The pages of one sequence, in order of tokens; -1 where one was dropped.
///
/// The first ones may be published, which several sequences read; only pages behind them are written. A table only
/// grows while its tokens stay.
package struct PageTable: Sendable, Hashable {
  package private(set) var pages: [Int32] = []
  /// Pages from the first on that are published.
  package private(set) var publishedCount = 0
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

  /// Gives back the pages that no token before `tokens` is in, and a published one that would be written behind them.
  ///
  /// - Returns: Tokens that are left, which are fewer where that was so.
  @discardableResult
  package mutating func shrink(to tokens: Int, pool: inout PagePool) -> Int {
    let left =
      tokens < publishedCount * pageTokens ? tokens / pageTokens * pageTokens : tokens
    let needed = (left + pageTokens - 1) / pageTokens
    while pages.count > needed, let page = pages.popLast() { if page >= 0 { pool.giveBack(page) } }
    publishedCount = min(publishedCount, pages.count)
    return left
  }

  /// Gives back what cannot be gone on behind, because layers that look back over a window no longer have it.
  ///
  /// - Returns: Tokens that are left.
  package mutating func rewind(_ tokens: Int, pool: inout PagePool) -> Int {
    let intact = intact(tokens, pool: pool)
    return intact < tokens ? shrink(to: intact, pool: &pool) : tokens
  }

  /// Whether one can go on behind so many tokens.
  package func isIntact(_ tokens: Int, pool: PagePool) -> Bool {
    intact(tokens, pool: pool) == tokens
  }

  private func intact(_ tokens: Int, pool: PagePool) -> Int {
    pool.window?.intact(pages, tokens, pageTokens: pageTokens) ?? tokens
  }

  /// Gives places in such layers to the pages that rows of these tokens read and write.
  package func need(_ rows: Range<Int>, pool: inout PagePool) {
    guard let window = pool.window else { return }
    let seen = window.seen(behind: rows.lowerBound, pageTokens: pageTokens)
    let end = (rows.upperBound + pageTokens - 1) / pageTokens
    pool.need(pages[seen.lowerBound..<end])
  }

  /// The slot of a token: page × pageTokens + place in the page.
  package func slot(of token: Int) -> Int32 {
    precondition(token / pageTokens >= publishedCount, "nobody writes into a published page")
    return pages[token / pageTokens] * Int32(pageTokens) + Int32(token % pageTokens)
  }

  /// Gives pages back that nobody will read again: places in the table, which are -1 from then on.
  package mutating func drop(_ places: [Int], to pool: inout PagePool) {
    precondition(publishedCount == 0, "a prefix that others find has no holes")
    for place in places.reversed() {
      precondition(pages[place] >= 0, "a page is dropped once")
      pool.giveBack(pages[place])
      pages[place] = -1
    }
  }

  /// Gives all pages back, the last one first.
  package mutating func release(to pool: inout PagePool) { shrink(to: 0, pool: &pool) }

  // MARK: Prefixes

  /// Fills an empty table with pages that others have published, or left half-filled, of these tokens.
  ///
  /// - Returns: Tokens that they hold.
  package mutating func adopt(_ tokens: ArraySlice<Int32>, from pool: inout PagePool) -> Int {
    precondition(pages.isEmpty)
    var rest = tokens
    while rest.count >= pageTokens,
      let page = pool.share(behind: pages.last, rest.prefix(pageTokens))
    {
      pages.append(page)
      rest = rest.dropFirst(pageTokens)
    }
    publishedCount = pages.count
    var held = tokens.count - rest.count
    if let (page, common) = pool.takeOpen(behind: pages.last, rest) {
      pages.append(page)
      held += common
    }
    return rewind(held, pool: &pool)
  }

  /// Publishes the full pages of these tokens, all of which are computed.
  package mutating func publish(_ tokens: ArraySlice<Int32>, pool: inout PagePool) {
    while (publishedCount + 1) * pageTokens <= tokens.count {
      let parent = publishedCount == 0 ? nil : pages[publishedCount - 1]
      let held = tokens.dropFirst(publishedCount * pageTokens).prefix(pageTokens)
      pages[publishedCount] = pool.publish(pages[publishedCount], behind: parent, held)
      publishedCount += 1
    }
  }

  /// Publishes what these tokens fill, leaves the page that they half fill to whoever goes on from there, and
  /// gives all pages back.
  package mutating func leave(_ tokens: ArraySlice<Int32>, to pool: inout PagePool) {
    shrink(to: max(tokens.count, publishedCount * pageTokens), pool: &pool)
    publish(tokens, pool: &pool)
    if pages.count > publishedCount, let page = pages.popLast() {
      pool.giveBack(
        page, behind: pages.last, holding: tokens.dropFirst(publishedCount * pageTokens))
    }
    release(to: &pool)
  }
}
