import Residency
import Testing

/// Pages of layers that look back over a window only.
struct WindowPlacesTests {
  /// Against a list that is searched: whoever was needed least recently loses its place.
  @Test func theLatestNeededHavePlaces() {
    var random = SystemRandomNumberGenerator()
    var places = WindowPlaces(count: 6, tokens: 10, pageCount: 20)
    var latest: [Int32] = []
    for _ in 0..<500 {
      let needed = (0..<Int32(20)).shuffled(using: &random).prefix(Int.random(in: 0...6))
      places.need(needed)
      let (old, new) = (needed.filter(latest.contains), needed.filter { !latest.contains($0) })
      latest = (latest.filter { !needed.contains($0) } + old + new).suffix(6)
      let held = (0..<Int32(20)).filter { places.place(of: $0) != nil }
      #expect(Set(held) == Set(latest))
      #expect(Set(held.compactMap { places.place(of: $0) }).count == held.count)
      if held.count != Set(latest).count { return }
    }
    #expect(places.place(of: -1) == nil)
  }

  private func pool(
    places: Int = 4, window: Int = 6, isAligned: Bool = false, pages: Int = 12
  ) -> PagePool {
    PagePool(
      pageCount: pages, pageTokens: 4,
      window: WindowPlaces(
        count: places, tokens: window, isAligned: isAligned, pageCount: pages))
  }

  /// A row of token n reads n itself and the window - 1 before it.
  @Test func whatALaterRowReadsIsThere() {
    var pool = pool()
    var table = PageTable(pageTokens: 4)
    var computed = 0
    for next in [3, 9, 10, 11, 18, 19, 26, 27, 28, 29, 36] {
      #expect(table.reserve(next, from: &pool))
      let before = (max(0, computed - 5)..<computed).map {
        pool.window?.place(of: table.pages[$0 / 4])
      }
      table.need(computed..<next, pool: &pool)
      // What the first row reads has not moved, and every row has a place to be written to.
      #expect(
        before
          == (max(0, computed - 5)..<computed).map { pool.window?.place(of: table.pages[$0 / 4]) })
      #expect((computed..<next).allSatisfy { pool.window?.place(of: table.pages[$0 / 4]) != nil })
      computed = next
    }
    // Nine pages are in use, and four have places.
    #expect(table.pages.filter { pool.window?.place(of: $0) != nil }.count == 4)
  }

  /// Behind every number of tokens: the longest beginning whose window is there, found by trying all.
  @Test(arguments: [false, true]) func oneGoesBackToWhereTheWindowIsWhole(isAligned: Bool) {
    for seed in 0..<200 {
      var pool = pool(places: 7, window: isAligned ? 8 : 6, isAligned: isAligned)
      var table = PageTable(pageTokens: 4)
      #expect(table.reserve(40, from: &pool))
      // Some pages have places, as other sequences left them.
      for page in 0..<10 where (seed * 7 + page * page * 3 + page) % 5 > 1 {
        pool.need(table.pages[page...page])
      }
      let pages = table.pages
      func isWhole(_ count: Int) -> Bool {
        let begin = isAligned ? count / 8 * 8 : max(0, count - 5)
        return (begin..<count).allSatisfy { pool.window?.place(of: pages[$0 / 4]) != nil }
      }
      let wanted = (0...37).last(where: isWhole)
      let free = pool.freeCount
      #expect(table.rewind(37, pool: &pool) == wanted)
      #expect(pool.freeCount - free == 10 - (wanted.map { $0 == 37 ? 10 : ($0 + 3) / 4 } ?? 0))
    }
  }

  /// A step that begins anywhere in a window may go on to where the places end that begin with that window.
  @Test func stepsEndWhereThePlacesDo() {
    let places = WindowPlaces(count: 4, tokens: 8, isAligned: true, pageCount: 12)
    for first in 0..<40 {
      let end = places.stepEnd(behind: first, pageTokens: 4)
      let seen = WindowPlaces.seen(behind: first, window: 8, isAligned: true, pageTokens: 4)
      #expect(end > first && end % 8 == 0)
      #expect(end / 4 - seen.lowerBound == 4)
    }
    #expect(
      WindowPlaces(count: 4, tokens: 8, pageCount: 12).stepEnd(behind: 3, pageTokens: 4) == .max)
  }

  @Test func aPageThatIsTakenAnewHasNoPlace() {
    var pool = pool(pages: 2)
    var table = PageTable(pageTokens: 4)
    #expect(table.reserve(8, from: &pool))
    table.need(0..<8, pool: &pool)
    table.release(to: &pool)
    #expect(table.reserve(8, from: &pool))
    #expect(table.pages.allSatisfy { pool.window?.place(of: $0) == nil })
  }

  /// Texts that come and go in one page take one place, and not each time another sequence's.
  @Test func whatNobodyHasIsTakenFirst() {
    var pool = pool()
    var chat = PageTable(pageTokens: 4)
    #expect(chat.reserve(8, from: &pool))
    chat.need(0..<8, pool: &pool)
    for _ in 0..<9 {
      var other = PageTable(pageTokens: 4)
      #expect(other.reserve(4, from: &pool))
      other.need(0..<4, pool: &pool)
      other.release(to: &pool)
    }
    #expect(chat.pages.allSatisfy { pool.window?.place(of: $0) != nil })
    #expect(chat.isIntact(8, pool: pool))
  }

  /// Two sequences compute the same page: one of them stays, and its window with it.
  @Test func whatIsPublishedTwiceKeepsAPlace() {
    var pool = pool()
    let tokens: [Int32] = [1, 2, 3, 4, 5, 6, 7, 8]
    var first = PageTable(pageTokens: 4)
    #expect(first.reserve(8, from: &pool))
    first.need(0..<8, pool: &pool)
    first.publish(tokens[...], pool: &pool)
    let place = pool.window?.place(of: first.pages[1])
    #expect(place != nil)
    // Others take the places.
    var other = PageTable(pageTokens: 4)
    #expect(other.reserve(16, from: &pool))
    other.need(0..<16, pool: &pool)
    #expect(first.pages.allSatisfy { pool.window?.place(of: $0) == nil })
    // A prefix without its window is worth nothing.
    var second = PageTable(pageTokens: 4)
    #expect(second.adopt(tokens[...], from: &pool) == 0)
    #expect(second.reserve(8, from: &pool))
    second.need(0..<8, pool: &pool)
    let own = second.pages.map { pool.window?.place(of: $0) }
    second.publish(tokens[...], pool: &pool)
    #expect(second.pages == first.pages)
    #expect(second.pages.map { pool.window?.place(of: $0) } == own)
    var third = PageTable(pageTokens: 4)
    #expect(third.adopt(tokens[...], from: &pool) == 8)
  }
}
