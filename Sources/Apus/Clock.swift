import Tokenization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

extension TemplateDate {
  /// The local date and time, which some templates write into the prompt.
  static func now() -> TemplateDate {
    var seconds = time(nil)
    var parts = tm()
    localtime_r(&seconds, &parts)
    return TemplateDate(
      year: Int(parts.tm_year) + 1900, month: Int(parts.tm_mon) + 1, day: Int(parts.tm_mday),
      hour: Int(parts.tm_hour), minute: Int(parts.tm_min), second: Int(parts.tm_sec))
  }
}
