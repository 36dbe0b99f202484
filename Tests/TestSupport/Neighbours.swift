import Foundation
import Synchronization

/// Threads that never sleep, until they are told to end: a machine that others use too.
package final class Neighbours: Sendable {
  private let stop = Atomic(false)

  package init(count: Int) {
    for _ in 0..<count {
      Thread.detachNewThread { [self] in
        while !stop.load(ordering: .relaxed) {}
      }
    }
  }

  package func leave() { stop.store(true, ordering: .relaxed) }
}
