/// Small numbers in the order in which something happened to them, as a list that is linked both ways.
struct RecentList: Sendable {
  private var next: [Int32]
  private var previous: [Int32]
  private(set) var count = 0

  /// None of so many.
  init(count: Int) {
    // The last place is before the first number and behind the last.
    next = (0...Int32(count)).map { $0 }
    previous = next
  }

  private var end: Int { next.count - 1 }

  /// The one to which nothing happened for longest.
  var oldest: Int32? { count == 0 ? nil : next[end] }

  mutating func append(_ number: Int32) {
    let last = previous[end]
    next[Int(number)] = Int32(end)
    previous[Int(number)] = last
    next[Int(last)] = number
    previous[end] = number
    count += 1
  }

  /// As if nothing had ever happened to it.
  mutating func prepend(_ number: Int32) {
    let first = next[end]
    next[end] = number
    previous[Int(number)] = Int32(end)
    next[Int(number)] = first
    previous[Int(first)] = number
    count += 1
  }

  mutating func remove(_ number: Int32) {
    next[Int(previous[Int(number)])] = next[Int(number)]
    previous[Int(next[Int(number)])] = previous[Int(number)]
    count -= 1
  }
}
