import Residency
import Testing

@Suite struct ResidencyTests {
  @Test func everyPageIsHandedOutOnce() {
    var pool = PagePool(pageCount: 5, pageTokens: 16)
    let pages = (0..<5).compactMap { _ in pool.take() }
    #expect(Set(pages) == [0, 1, 2, 3, 4])
    #expect(pool.take() == nil)
    for page in pages { pool.giveBack(page) }
    #expect(pool.freeCount == 5)
  }

  @Test func tablesGrowByWholePages() {
    var pool = PagePool(pageCount: 3, pageTokens: 16)
    var table = PageTable(pageTokens: 16)
    let none = table.reserve(0, from: &pool)
    #expect(none && table.pages.isEmpty)
    let one = table.reserve(16, from: &pool)
    #expect(one && table.pages.count == 1)
    let two = table.reserve(17, from: &pool)
    #expect(two && table.pages.count == 2)
    #expect(table.slot(of: 15) == table.pages[0] * 16 + 15)
    #expect(table.slot(of: 16) == table.pages[1] * 16)
  }

  @Test func aFullPoolLeavesTheTableAsItWas() {
    var pool = PagePool(pageCount: 2, pageTokens: 4)
    var table = PageTable(pageTokens: 4)
    let fits = table.reserve(4, from: &pool)
    let before = table
    let fitsMore = table.reserve(100, from: &pool)
    #expect(fits && !fitsMore)
    #expect(table == before && pool.freeCount == 1)
    table.release(to: &pool)
    #expect(pool.freeCount == 2 && table.pages.isEmpty)
  }

  @Test func shrinkingGivesWholePagesBack() {
    var pool = PagePool(pageCount: 4, pageTokens: 4)
    var table = PageTable(pageTokens: 4)
    #expect(table.reserve(16, from: &pool))
    let pages = table.pages
    table.shrink(to: 9, pool: &pool)
    #expect(table.pages == Array(pages.prefix(3)) && pool.freeCount == 1)
    table.shrink(to: 12, pool: &pool)
    #expect(pool.freeCount == 1)
    table.shrink(to: 0, pool: &pool)
    #expect(table.pages.isEmpty && pool.freeCount == 4)
  }
}
