#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

extension TemplateDate {
  /// What the clock shows at this place right now.
  package static var now: TemplateDate {
    var seconds = time(nil)
    var fields = tm()
    // The re-entrant form: rendering may happen on any thread.
    guard localtime_r(&seconds, &fields) != nil else {
      return TemplateDate(year: 1970, month: 1, day: 1)
    }
    return TemplateDate(
      year: Int(fields.tm_year) + 1900, month: Int(fields.tm_mon) + 1, day: Int(fields.tm_mday),
      hour: Int(fields.tm_hour), minute: Int(fields.tm_min), second: Int(fields.tm_sec))
  }
}
