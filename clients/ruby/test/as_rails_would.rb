# frozen_string_literal: true

# Writes what becomes of Rails' kinds of values, for json_test.rb to compare: with --active-support after ActiveSupport has changed
# Time, BigDecimal, Integer and to_json, and then also of its own kinds, on lines that begin with "rails".
rails = ARGV.include?("--active-support")
if rails
  begin
    require "active_support/all"
    require "active_support/json"
  rescue LoadError
    exit 69
  end
  Time.zone = "Europe/Moscow"
  ActiveSupport::JSON::Encoding.time_precision = 0
  ActiveSupport::JSON::Encoding.use_standard_json_time_format = false
  ActiveSupport.escape_html_entities_in_json = true
end
require "bigdecimal"
require_relative "../valera_analytics"

def say(value, prefix = "")
  puts "#{prefix}#{ValeraAnalytics::Json.generate(value)}"
end

at = Time.new(2026, 11, 24, 12, 0, Rational(123_456_789, 1_000_000_000), "+03:00")
[nil, true, :symbol, "<b> & \u2028 'x'", 1, 0.8, 1e20, 1e-7, Float::NAN, BigDecimal("15000.50"), BigDecimal("1e-7"), BigDecimal("NaN"),
 at, at.getutc, at.to_datetime, at.to_date, { a: { "b" => [1, nil] } }, [1, [2]], 1..3, Rational(1, 2), "a\xFF".b].each { |value| say(value) }
time, sent = ValeraAnalytics::Event.moment("2026-11-24T12:00:00.123456789+03:00")
puts "#{time.to_i} #{sent}"

if rails
  say(at.in_time_zone, "rails ")
  say(5.minutes, "rails ")
  say({ a: { b: [1, nil] }, c: "<b>".html_safe }.with_indifferent_access, "rails ")
  puts "rails #{ValeraAnalytics::Event.moment(at.in_time_zone).last.inspect}"
end
