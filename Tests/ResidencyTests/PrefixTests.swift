import Residency
import Testing

/// Pages that several sequences read: counted, found by their tokens alone, never written again.
@Suite struct PrefixTests {
  /// Tables over a memory that remembers, for each slot, the whole text up to the token that was written there:
  /// as keys and values do.
  private struct World {
    static let pageTokens = 4
    var pool = PagePool(pageCount: 12, pageTokens: pageTokens)
    var memory = [[Int32]?](repeating: nil, count: 12 * pageTokens)
    var live: [(table: PageTable, tokens: [Int32], computed: Int)] = []
    var adopted = 0
    var evicted = 0

    func check(_ comment: Comment) {
      var users: [Int32: Int] = [:]
      for sequence in live {
        for page in sequence.table.pages { users[page, default: 0] += 1 }
        #expect(Set(sequence.table.pages).count == sequence.table.pages.count)
        for token in 0..<sequence.computed {
          let page = sequence.table.pages[token / Self.pageTokens]
          let slot = Int(page) * Self.pageTokens + token % Self.pageTokens
          #expect(memory[slot] == Array(sequence.tokens[...token]), comment)
        }
        // A page that others read too is published by each of them.
        for page in sequence.table.pages[sequence.table.publishedCount...] {
          #expect(users[page] == 1, comment)
        }
      }
      #expect(pool.freeCount == pool.pageCount - users.count, comment)
    }

    mutating func begin(_ tokens: [Int32]) {
      var table = PageTable(pageTokens: Self.pageTokens)
      let computed = table.adopt(tokens.dropLast(), from: &pool)
      #expect(computed < tokens.count)
      adopted += computed
      live.append((table, tokens, computed))
    }

    mutating func compute(_ place: Int, to end: Int) {
      let before = pool.restingCount
      guard live[place].table.reserve(end, from: &pool) else { return }
      evicted += before - pool.restingCount
      for token in live[place].computed..<end {
        memory[Int(live[place].table.slot(of: token))] = Array(live[place].tokens[...token])
      }
      live[place].computed = end
      live[place].table.publish(live[place].tokens[..<end], pool: &pool)
    }
  }

  @Test(arguments: 0..<60) func whatIsFoundIsWhatWasWritten(seed: Int) {
    var world = World()
    var state = UInt64(seed)
    func random(_ count: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % count
    }
    for turn in 0..<150 {
      let place = world.live.isEmpty ? 0 : random(world.live.count)
      switch random(world.live.isEmpty ? 1 : 6) {
      case 0 where world.live.count < 4:
        // Few texts, so that many begin alike.
        let (kind, length) = (random(3), 1 + random(22))
        let parts = random(length + 1)
        world.begin((0..<length).map { Int32($0 >= parts ? $0 + kind : $0) })
      case 1, 2, 3:
        let (computed, count) = (world.live[place].computed, world.live[place].tokens.count)
        if computed < count { world.compute(place, to: computed + 1 + random(count - computed)) }
      case 4:
        // Taken back, also into what is published, and another text from there.
        let count = 1 + random(world.live[place].tokens.count)
        world.live[place].tokens = world.live[place].tokens.prefix(count) + [Int32(random(40))]
        world.live[place].computed = world.live[place].table.shrink(
          to: min(count, world.live[place].computed), pool: &world.pool)
      default:
        var (table, tokens, computed) = world.live.remove(at: place)
        if random(4) == 0 {
          table.release(to: &world.pool)
        } else {
          table.leave(tokens[..<computed], to: &world.pool)
        }
        #expect(table.pages.isEmpty && table.publishedCount == 0)
      }
      world.check("seed \(seed), turn \(turn)")
    }
    for place in world.live.indices { world.live[place].table.release(to: &world.pool) }
    #expect(world.pool.freeCount == 12)
    world.pool.forgetResting()
    #expect(world.pool.freeCount == 12 && world.pool.restingCount == 0)
    #expect(world.adopted > 0 && world.evicted > 0)
  }

  /// Two that computed the same before either was published end with one page.
  @Test func equalPagesBecomeOne() {
    var pool = PagePool(pageCount: 4, pageTokens: 4)
    let tokens: [Int32] = [1, 2, 3, 4, 5]
    var tables = [PageTable(pageTokens: 4), PageTable(pageTokens: 4)]
    for index in tables.indices { #expect(tables[index].reserve(5, from: &pool)) }
    #expect(pool.freeCount == 0)
    for index in tables.indices { tables[index].publish(tokens[...], pool: &pool) }
    #expect(tables[0].pages[0] == tables[1].pages[0] && tables[0].pages[1] != tables[1].pages[1])
    #expect(pool.freeCount == 1)
    tables[0].release(to: &pool)
    #expect(pool.freeCount == 2 && pool.restingCount == 0)
    tables[1].leave(tokens[...], to: &pool)
    #expect(pool.freeCount == 4 && pool.restingCount == 2)
  }

  /// What rests for longest goes first, and of one prefix its end.
  @Test func theOldestPagesAreTakenFirst() {
    var pool = PagePool(pageCount: 5, pageTokens: 4)
    func leave(_ tokens: [Int32]) {
      var table = PageTable(pageTokens: 4)
      _ = table.adopt(tokens[...], from: &pool)
      #expect(table.reserve(tokens.count, from: &pool))
      table.leave(tokens[...], to: &pool)
    }
    func found(_ tokens: [Int32]) -> Int {
      var table = PageTable(pageTokens: 4)
      defer { table.release(to: &pool) }
      return table.adopt(tokens[...], from: &pool)
    }
    let (one, two) = ((0..<12).map { Int32($0) }, (50..<58).map { Int32($0) })
    leave(one)
    leave(two)
    #expect(pool.restingCount == 5)
    leave([90, 91, 92, 93])
    #expect(pool.restingCount == 5 && found(one) == 8 && found(two) == 8)
    // Looked at last, so that the other one goes.
    #expect(found(one) == 8)
    leave([80])
    #expect(found(two) == 8 && found(one) == 8 && found([90, 91, 92, 93]) == 0)
  }
}
