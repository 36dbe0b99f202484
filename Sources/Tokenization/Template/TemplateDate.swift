/// A moment as the clock on the wall shows it. A caller may pass one of its own, so that the same
/// conversation renders the same twice.
package struct TemplateDate: Sendable, Equatable {
  package var year: Int
  package var month: Int
  package var day: Int
  package var hour: Int
  package var minute: Int
  package var second: Int

  package init(year: Int, month: Int, day: Int, hour: Int = 0, minute: Int = 0, second: Int = 0) {
    self.year = year
    self.month = month
    self.day = day
    self.hour = hour
    self.minute = minute
    self.second = second
  }

  private static let months = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
  ]
  private static let weekdays = [
    "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday",
  ]

  /// Days before the first of each month in a common year.
  private static let daysBefore = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334]

  private var monthIndex: Int { min(max(month, 1), 12) - 1 }

  private var dayOfYear: Int {
    let isLeap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
    return Self.daysBefore[monthIndex] + day + (isLeap && monthIndex > 1 ? 1 : 0)
  }

  /// 0 is Sunday.
  private var weekday: Int {
    let before = min(max(year, 1), 9999) - 1
    let days = before * 365 + before / 4 - before / 100 + before / 400 + dayOfYear
    return ((days % 7) + 7) % 7
  }

  /// C's `strftime` in English; nil where `format` asks for something that is not known here.
  func formatted(_ format: String) -> String? {
    var result = String.UnicodeScalarView()
    var scalars = format.unicodeScalars.makeIterator()
    while let scalar = scalars.next() {
      guard scalar == "%" else {
        result.append(scalar)
        continue
      }
      guard var directive = scalars.next() else { return nil }
      let isBare = directive == "-"
      if isBare {
        guard let next = scalars.next() else { return nil }
        directive = next
      }
      guard let text = field(directive, isBare) else { return nil }
      result.append(contentsOf: text.unicodeScalars)
    }
    return String(result)
  }

  private func field(_ directive: Unicode.Scalar, _ isBare: Bool) -> String? {
    func padded(_ value: Int, _ width: Int = 2, _ fill: String = "0") -> String {
      let text = String(value)
      return isBare ? text : String(repeating: fill, count: max(0, width - text.utf8.count)) + text
    }
    switch directive {
    case "Y": return String(year)
    case "y": return padded(year % 100)
    case "m": return padded(month)
    case "d": return padded(day)
    case "e": return padded(day, 2, " ")
    case "H": return padded(hour)
    case "I": return padded((hour + 11) % 12 + 1)
    case "M": return padded(minute)
    case "S": return padded(second)
    case "p": return hour < 12 ? "AM" : "PM"
    case "j": return padded(dayOfYear, 3)
    case "B": return Self.months[monthIndex]
    case "b", "h": return String(Self.months[monthIndex].prefix(3))
    case "A": return Self.weekdays[weekday]
    case "a": return String(Self.weekdays[weekday].prefix(3))
    case "w": return String(weekday)
    case "u": return String(weekday == 0 ? 7 : weekday)
    case "F": return "\(year)-\(padded(month))-\(padded(day))"
    case "T": return "\(padded(hour)):\(padded(minute)):\(padded(second))"
    case "D": return "\(padded(month))/\(padded(day))/\(padded(year % 100))"
    case "R": return "\(padded(hour)):\(padded(minute))"
    case "n": return "\n"
    case "t": return "\t"
    case "%": return "%"
    case "Z", "z": return ""
    default: return nil
    }
  }
}
